package unkai.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Whatever a handler returns, as JSON: beans by their getters and public fields, in the order of their fields. */
final class Writer {
    private Writer() {}

    static byte[] write(Object value) throws ReflectiveOperationException {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void write(Object value, StringBuilder out) throws ReflectiveOperationException {
        if (value == null || value instanceof Boolean) out.append(value);
        else if (value instanceof Number) number((Number) value, out);
        else if (value instanceof CharSequence || value instanceof Character) Json.quote(value.toString(), out);
        else if (value instanceof Map) object((Map<?, ?>) value, out);
        else if (value instanceof Iterable) array((Iterable<?>) value, out);
        else if (value instanceof byte[]) Json.quote(Base64.getEncoder().encodeToString((byte[]) value), out);
        else if (value instanceof ByteBuffer) Json.quote(Base64.getEncoder().encodeToString(bytes((ByteBuffer) value)), out);
        else if (value.getClass().isArray()) array(items(value), out);
        else if (value instanceof Enum) Json.quote(((Enum<?>) value).name(), out);
        else if (value instanceof Date) out.append(((Date) value).getTime());
        else if (isText(value.getClass().getName())) Json.quote(value.toString(), out);
        else object(properties(value), out);
    }

    /** Classes that say by themselves what they are: times, identifiers, paths. */
    private static boolean isText(String className) {
        return className.startsWith("java.") || className.startsWith("org.joda.time.");
    }

    private static void number(Number value, StringBuilder out) {
        double number = value.doubleValue();
        // As Jackson writes them, there being no JSON for them.
        if (Double.isNaN(number) || (Double.isInfinite(number) && (value instanceof Double || value instanceof Float))) {
            Json.quote(value.toString(), out);
        } else out.append(value);
    }

    private static void object(Map<?, ?> values, StringBuilder out) throws ReflectiveOperationException {
        char separator = '{';
        for (Map.Entry<?, ?> entry : values.entrySet()) {
            out.append(separator);
            separator = ',';
            Json.quote(String.valueOf(entry.getKey()), out);
            out.append(':');
            write(entry.getValue(), out);
        }
        out.append(separator == '{' ? "{}" : "}");
    }

    private static void array(Iterable<?> values, StringBuilder out) throws ReflectiveOperationException {
        char separator = '[';
        for (Object value : values) {
            out.append(separator);
            separator = ',';
            write(value, out);
        }
        out.append(separator == '[' ? "[]" : "]");
    }

    private static List<Object> items(Object array) {
        List<Object> items = new ArrayList<>();
        for (int index = 0; index < Array.getLength(array); index++) items.add(Array.get(array, index));
        return items;
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    private static Map<String, Object> properties(Object bean) throws ReflectiveOperationException {
        Map<String, Object> properties = new LinkedHashMap<>();
        Class<?> type = bean.getClass();
        if (Reader.isRecord(type)) {
            for (Method accessor : Reader.recordAccessors(type)) properties.put(accessor.getName(), accessor.invoke(bean));
            return properties;
        }
        List<String> order = fieldNames(type);
        List<Method> getters = new ArrayList<>();
        for (Method method : type.getMethods()) if (propertyOf(method) != null) getters.add(method);
        getters.sort(Comparator.comparingInt((Method getter) -> place(order, propertyOf(getter))).thenComparing(Method::getName));
        for (Method getter : getters) {
            getter.setAccessible(true);
            properties.put(propertyOf(getter), getter.invoke(bean));
        }
        for (Field field : type.getFields()) {
            if (Modifier.isStatic(field.getModifiers()) || properties.containsKey(field.getName())) continue;
            field.setAccessible(true);
            properties.put(field.getName(), field.get(bean));
        }
        return properties;
    }

    private static List<String> fieldNames(Class<?> type) {
        List<String> names = type.getSuperclass() == null ? new ArrayList<>() : fieldNames(type.getSuperclass());
        for (Field field : type.getDeclaredFields()) names.add(field.getName());
        return names;
    }

    private static int place(List<String> order, String name) {
        int place = order.indexOf(name);
        return place < 0 ? order.size() : place;
    }

    private static String propertyOf(Method method) {
        String name = method.getName();
        boolean hidden = Modifier.isStatic(method.getModifiers()) || method.isBridge() || method.getParameterCount() > 0
                || method.getDeclaringClass() == Object.class || method.getReturnType() == void.class;
        if (hidden) return null;
        if (name.startsWith("get") && name.length() > 3) return decapitalized(name.substring(3));
        boolean is = name.startsWith("is") && name.length() > 2 && method.getReturnType() == boolean.class;
        return is ? decapitalized(name.substring(2)) : null;
    }

    /** As Jackson does it: the capitals at the start, however many. */
    private static String decapitalized(String name) {
        int end = 0;
        while (end < name.length() && Character.isUpperCase(name.charAt(end))) end++;
        return name.substring(0, end).toLowerCase(java.util.Locale.ROOT) + name.substring(end);
    }
}
