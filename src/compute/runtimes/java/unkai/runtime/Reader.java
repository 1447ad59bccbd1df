package unkai.runtime;

import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Parsed JSON to the type that a handler asks for: what AWS's runtime does with its own copy of Jackson, so that annotations of
 * a function's copy have no meaning here either. Unknown properties are left out.
 */
final class Reader {
    private Reader() {}

    static Object read(Object json, Type type) throws ReflectiveOperationException {
        if (type instanceof ParameterizedType) return parameterized(json, (ParameterizedType) type);
        if (type instanceof GenericArrayType) return array(json, ((GenericArrayType) type).getGenericComponentType());
        if (type instanceof WildcardType) return read(json, ((WildcardType) type).getUpperBounds()[0]);
        if (type instanceof TypeVariable) return read(json, ((TypeVariable<?>) type).getBounds()[0]);
        return plain(json, (Class<?>) type);
    }

    static Class<?> rawClass(Type type) {
        if (type instanceof Class) return (Class<?>) type;
        if (type instanceof ParameterizedType) return (Class<?>) ((ParameterizedType) type).getRawType();
        if (type instanceof GenericArrayType) {
            return Array.newInstance(rawClass(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof WildcardType) return rawClass(((WildcardType) type).getUpperBounds()[0]);
        return rawClass(((TypeVariable<?>) type).getBounds()[0]);
    }

    private static Object parameterized(Object json, ParameterizedType type) throws ReflectiveOperationException {
        Class<?> raw = rawClass(type);
        Type[] arguments = type.getActualTypeArguments();
        if (json == null) return null;
        if (Map.class.isAssignableFrom(raw)) return map(json, raw, arguments[0], arguments[arguments.length - 1]);
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) return collection(json, raw, arguments[0]);
        Map<TypeVariable<?>, Type> bound = new HashMap<>();
        for (int index = 0; index < arguments.length; index++) bound.put(raw.getTypeParameters()[index], arguments[index]);
        return bean(json, raw, bound);
    }

    private static Object plain(Object json, Class<?> type) throws ReflectiveOperationException {
        if (json == null) return type.isPrimitive() ? Array.get(Array.newInstance(type, 1), 0) : null;
        if (type == Object.class) return json;
        if (type == String.class || type == CharSequence.class) {
            if (json instanceof Map || json instanceof List) throw mismatch(json, type);
            return json.toString();
        }
        if (type == Boolean.class || type == boolean.class) {
            if (json instanceof Boolean) return json;
            if ("true".equals(json) || "false".equals(json)) return Boolean.valueOf((String) json);
            throw mismatch(json, type);
        }
        Object number = number(json, type);
        if (number != null) return number;
        if (type.isEnum()) return constant(json, type);
        if (type == byte[].class) return Base64.getDecoder().decode((String) json);
        if (type == ByteBuffer.class) return ByteBuffer.wrap(Base64.getDecoder().decode((String) json));
        if (type == Date.class) return date(json);
        if (type == Character.class || type == char.class) return ((String) json).charAt(0);
        if (type.getName().equals("org.joda.time.DateTime")) {
            return type.getConstructor(Object.class).newInstance(json instanceof Number ? date(json).getTime() : json);
        }
        if (type.isArray()) return array(json, type.getComponentType());
        if (Map.class.isAssignableFrom(type)) return map(json, type, String.class, Object.class);
        if (Collection.class.isAssignableFrom(type) || type == Iterable.class) return collection(json, type, Object.class);
        return bean(json, type, new HashMap<>());
    }

    private static Object number(Object json, Class<?> type) {
        boolean integral = type == int.class || type == long.class || type == short.class || type == byte.class
                || type == Integer.class || type == Long.class || type == Short.class || type == Byte.class || type == BigInteger.class;
        boolean wanted = integral || type == double.class || type == float.class || Number.class.isAssignableFrom(type);
        if (!wanted) return null;
        BigDecimal value;
        try {
            if (json instanceof Boolean || json instanceof Map || json instanceof List) throw mismatch(json, type);
            value = new BigDecimal(json.toString().trim());
        } catch (NumberFormatException problem) {
            throw mismatch(json, type);
        }
        if (type == int.class || type == Integer.class) return value.intValue();
        if (type == long.class || type == Long.class) return value.longValue();
        if (type == short.class || type == Short.class) return value.shortValue();
        if (type == byte.class || type == Byte.class) return value.byteValue();
        if (type == float.class || type == Float.class) return value.floatValue();
        if (type == BigInteger.class) return value.toBigInteger();
        if (type == BigDecimal.class) return value;
        if (type == Number.class) return json instanceof Number ? json : value;
        return value.doubleValue();
    }

    private static Object constant(Object json, Class<?> type) {
        for (Object constant : type.getEnumConstants()) {
            if (((Enum<?>) constant).name().equals(json)) return constant;
        }
        throw mismatch(json, type);
    }

    /** Streams tell their times in seconds, everybody else in milliseconds: what would be before 1973 is seconds. */
    private static Date date(Object json) {
        if (!(json instanceof Number)) return Date.from(java.time.OffsetDateTime.parse(json.toString()).toInstant());
        double value = ((Number) json).doubleValue();
        return new Date((long) (Math.abs(value) < 1e11 ? value * 1000 : value));
    }

    private static Object array(Object json, Type component) throws ReflectiveOperationException {
        List<?> items = list(json, component);
        Object array = Array.newInstance(rawClass(component), items.size());
        for (int index = 0; index < items.size(); index++) Array.set(array, index, read(items.get(index), component));
        return array;
    }

    private static Object collection(Object json, Class<?> raw, Type element) throws ReflectiveOperationException {
        Collection<Object> collection = emptyCollection(raw);
        for (Object item : list(json, raw)) collection.add(read(item, element));
        return collection;
    }

    @SuppressWarnings("unchecked")
    private static Collection<Object> emptyCollection(Class<?> raw) throws ReflectiveOperationException {
        if (!raw.isInterface() && !Modifier.isAbstract(raw.getModifiers())) return (Collection<Object>) instance(raw);
        if (SortedSet.class.isAssignableFrom(raw)) return new TreeSet<>();
        if (Set.class.isAssignableFrom(raw)) return new LinkedHashSet<>();
        return Queue.class.isAssignableFrom(raw) ? new ArrayDeque<>() : new ArrayList<>();
    }

    @SuppressWarnings("unchecked")
    private static Object map(Object json, Class<?> raw, Type key, Type value) throws ReflectiveOperationException {
        if (!(json instanceof Map)) throw mismatch(json, raw);
        Map<Object, Object> map;
        if (!raw.isInterface() && !Modifier.isAbstract(raw.getModifiers())) map = (Map<Object, Object>) instance(raw);
        else map = SortedMap.class.isAssignableFrom(raw) ? new TreeMap<>() : new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) json).entrySet()) {
            map.put(read(entry.getKey(), key), read(entry.getValue(), value));
        }
        return map;
    }

    private static List<?> list(Object json, Type wanted) {
        if (json instanceof List) return (List<?>) json;
        throw mismatch(json, wanted);
    }

    private static Object bean(Object json, Class<?> type, Map<TypeVariable<?>, Type> bound) throws ReflectiveOperationException {
        if (!(json instanceof Map)) throw mismatch(json, type);
        if (isRecord(type)) return record((Map<?, ?>) json, type);
        Object bean = instance(type);
        Map<String, AnnotatedElement> properties = properties(type);
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) json).entrySet()) {
            // AWS's event classes spell some names otherwise than the events do ("Records", "eventSourceARN").
            AnnotatedElement property = properties.get(((String) entry.getKey()).toLowerCase(Locale.ROOT));
            if (property instanceof Method) {
                Method setter = (Method) property;
                setter.invoke(bean, read(entry.getValue(), resolved(setter.getGenericParameterTypes()[0], bound)));
            } else if (property != null) {
                Field field = (Field) property;
                field.set(bean, read(entry.getValue(), resolved(field.getGenericType(), bound)));
            }
        }
        return bean;
    }

    private static Type resolved(Type type, Map<TypeVariable<?>, Type> bound) {
        return bound.getOrDefault(type, type);
    }

    /** Setters and public fields by their names in lower case; a setter goes before a field. */
    private static Map<String, AnnotatedElement> properties(Class<?> type) {
        Map<String, AnnotatedElement> properties = new HashMap<>();
        for (Field field : type.getFields()) {
            if (!Modifier.isStatic(field.getModifiers()) && !Modifier.isFinal(field.getModifiers())) {
                properties.put(field.getName().toLowerCase(Locale.ROOT), accessible(field));
            }
        }
        for (Method method : type.getMethods()) {
            String name = method.getName();
            boolean setter = name.startsWith("set") && name.length() > 3 && method.getParameterCount() == 1;
            if (setter && !method.isBridge()) properties.put(name.substring(3).toLowerCase(Locale.ROOT), accessible(method));
        }
        return properties;
    }

    private static <T extends java.lang.reflect.AccessibleObject> T accessible(T member) {
        member.setAccessible(true);
        return member;
    }

    static Object instance(Class<?> type) throws ReflectiveOperationException {
        Constructor<?> constructor = type.getDeclaredConstructor();
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    /** Records came with Java 16, this source stands on 8. */
    static boolean isRecord(Class<?> type) {
        return type.getSuperclass() != null && type.getSuperclass().getName().equals("java.lang.Record");
    }

    static List<Method> recordAccessors(Class<?> type) throws ReflectiveOperationException {
        List<Method> accessors = new ArrayList<>();
        for (Object component : (Object[]) Class.class.getMethod("getRecordComponents").invoke(type)) {
            accessors.add(accessible((Method) component.getClass().getMethod("getAccessor").invoke(component)));
        }
        return accessors;
    }

    private static Object record(Map<?, ?> json, Class<?> type) throws ReflectiveOperationException {
        List<Method> accessors = recordAccessors(type);
        Class<?>[] types = accessors.stream().map(Method::getReturnType).toArray(Class<?>[]::new);
        Object[] values = new Object[types.length];
        for (int index = 0; index < types.length; index++) {
            Method accessor = accessors.get(index);
            values[index] = read(json.get(accessor.getName()), accessor.getGenericReturnType());
        }
        return accessible(type.getDeclaredConstructor(types)).newInstance(values);
    }

    private static IllegalArgumentException mismatch(Object json, Type type) {
        String kind = json instanceof Map ? "an object" : json instanceof List ? "an array" : json + "";
        return new IllegalArgumentException("Cannot read " + kind + " as " + type.getTypeName());
    }
}
