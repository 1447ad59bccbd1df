package unkai.runtime;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Finds what the function's handler names, and how it wants to be called. The words of its faults are AWS's. */
final class Handlers {
    private static final byte[] NULL = "null".getBytes(StandardCharsets.UTF_8);

    /** Serves one event. What the function throws comes through as it is. */
    interface Handler {
        byte[] call(byte[] event, Object context) throws Throwable;
    }

    private final ClassLoader loader;
    private final Api api;
    private final Serializer serializer;

    Handlers(ClassLoader loader, Api api) {
        this.loader = loader;
        this.api = api;
        serializer = new Serializer(loader, api);
    }

    /** Throws a fatal Fault where the function cannot start. Other faults are told at each call. */
    Handler load(String name) {
        try {
            return find(name);
        } catch (Fault fault) {
            if (fault.fatal) throw fault;
            return (event, context) -> {
                throw fault;
            };
        }
    }

    private Handler find(String name) {
        int colons = name.lastIndexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String methodName = colons < 0 ? null : name.substring(colons + 2);
        if (className.isEmpty() || "".equals(methodName)) throw new Fault("Invalid handler: `" + name + "'", null, false);
        Class<?> type = classNamed(className);
        return methodName == null ? implementation(type) : method(type, methodName);
    }

    private Class<?> classNamed(String className) {
        try {
            return Class.forName(className, true, loader);
        } catch (ClassNotFoundException absent) {
            throw new Fault("Class not found: " + className, absent, false);
        } catch (Throwable problem) {
            String message = problem.getMessage() == null ? "" : ": " + problem.getMessage();
            throw new Fault("Error loading class " + className + message, problem, true);
        }
    }

    private Handler implementation(Class<?> type) {
        Class<?> streams = api.find("RequestStreamHandler");
        Class<?> requests = api.find("RequestHandler");
        if (streams != null && streams.isAssignableFrom(type)) return streamHandler(methodOf(streams), type, true, true, true);
        if (requests == null || !requests.isAssignableFrom(type)) {
            throw new Fault("Class does not implement an appropriate handler interface: " + type.getName(), null, false);
        }
        Type[] arguments = argumentsOf(type, requests, new HashMap<>());
        if (arguments == null) {
            throw new Fault("Class " + type.getName() + " does not implement RequestHandler with concrete type parameters", null, false);
        }
        for (Type argument : arguments) {
            if (!(argument instanceof TypeVariable) || ((TypeVariable<?>) argument).getBounds()[0] != Object.class) continue;
            throw new Fault("Class " + type.getName() + " does not implement RequestHandler with concrete type parameters: parameter "
                    + argument + " has no upper bound.", null, false);
        }
        return typedHandler(methodOf(requests), type, arguments[0], arguments[1], true);
    }

    private static Method methodOf(Class<?> functional) {
        for (Method method : functional.getMethods()) if (method.getName().equals("handleRequest")) return method;
        throw new IllegalStateException(functional + " has no handleRequest");
    }

    /** What a class gives for the type parameters of an interface that it implements, itself or by what it extends. */
    private static Type[] argumentsOf(Type type, Class<?> wanted, Map<TypeVariable<?>, Type> bound) {
        Class<?> raw = Reader.rawClass(type);
        Map<TypeVariable<?>, Type> inner = new HashMap<>();
        if (type instanceof ParameterizedType) {
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            for (int index = 0; index < arguments.length; index++) {
                arguments[index] = bound.getOrDefault(arguments[index], arguments[index]);
                inner.put(raw.getTypeParameters()[index], arguments[index]);
            }
            if (raw == wanted) return arguments;
        }
        List<Type> parents = new ArrayList<>(java.util.Arrays.asList(raw.getGenericInterfaces()));
        if (raw.getGenericSuperclass() != null) parents.add(raw.getGenericSuperclass());
        for (Type parent : parents) {
            if (!wanted.isAssignableFrom(Reader.rawClass(parent))) continue;
            Type[] found = argumentsOf(parent, wanted, inner);
            if (found != null) return found;
        }
        return null;
    }

    private Handler method(Class<?> type, String name) {
        List<Method> overloads = new ArrayList<>();
        for (Method method : type.getMethods()) if (method.getName().equals(name)) overloads.add(method);
        // AWS's order: what a compiler added comes last; longer ones first, a context counting twice.
        overloads.sort(Comparator.comparing(Method::isBridge).thenComparing(Comparator.comparingInt(Handlers::length).reversed()));
        for (Method overload : overloads) {
            Handler handler = handlerOf(type, overload);
            if (handler != null) return handler;
        }
        String problem = " with appropriate method signature found on class ";
        throw new Fault("No public method named " + name + problem + type.getName(), null, false);
    }

    private static int length(Method method) {
        Class<?>[] types = method.getParameterTypes();
        return types.length + (types.length > 0 && Api.isContext(types[types.length - 1]) ? 1 : 0);
    }

    /** Null where its parameters are not a handler's. */
    private Handler handlerOf(Class<?> type, Method method) {
        List<Class<?>> types = new ArrayList<>(java.util.Arrays.asList(method.getParameterTypes()));
        boolean context = !types.isEmpty() && Api.isContext(types.get(types.size() - 1));
        if (context) types.remove(types.size() - 1);
        if (types.contains(InputStream.class) || types.contains(OutputStream.class)) {
            boolean input = types.remove(InputStream.class);
            boolean output = types.remove(OutputStream.class);
            boolean ordered = !input || method.getParameterTypes()[0] == InputStream.class;
            return types.isEmpty() && ordered ? streamHandler(method, type, input, output, context) : null;
        }
        if (types.size() > 1 || (types.size() == 1 && Api.isContext(types.get(0)))) return null;
        Type input = types.isEmpty() ? null : method.getGenericParameterTypes()[0];
        return typedHandler(method, type, input, method.getGenericReturnType(), context);
    }

    private Handler streamHandler(Method method, Class<?> type, boolean input, boolean output, boolean context) {
        Object instance = instance(method, type);
        method.setAccessible(true);
        return (event, contextValue) -> {
            ByteArrayOutputStream response = new ByteArrayOutputStream(1024);
            List<Object> arguments = new ArrayList<>();
            if (input) arguments.add(new ByteArrayInputStream(event));
            if (output) arguments.add(response);
            if (context) arguments.add(contextValue);
            call(method, instance, arguments);
            return output ? response.toByteArray() : NULL;
        };
    }

    private Handler typedHandler(Method method, Class<?> type, Type input, Type output, boolean context) {
        Object instance = instance(method, type);
        method.setAccessible(true);
        boolean silent = output == void.class || output == Void.class;
        return (event, contextValue) -> {
            List<Object> arguments = new ArrayList<>();
            if (input != null) arguments.add(serializer.read(event, input));
            if (context) arguments.add(contextValue);
            Object result = call(method, instance, arguments);
            return silent ? NULL : serializer.write(result, output);
        };
    }

    private static Object call(Method method, Object instance, List<Object> arguments) throws Throwable {
        try {
            return method.invoke(instance, arguments.toArray());
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause() == null ? thrown : thrown.getCause();
        }
    }

    private static Object instance(Method method, Class<?> type) {
        if (Modifier.isStatic(method.getModifiers())) return null;
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException absent) {
            boolean inner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
            String problem = inner
                    ? " cannot be instantiated because it is a non-static inner class"
                    : " has no public zero-argument constructor";
            String message = "Class " + type.getName() + problem;
            throw new Fault(message, new Exception(message, inner ? null : absent), false);
        }
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException thrown) {
            Throwable problem = thrown.getCause() == null ? thrown : thrown.getCause();
            throw new Fault(Fault.messageOf(problem), problem, true);
        } catch (ReflectiveOperationException problem) {
            throw new Fault(Fault.messageOf(problem), problem, false);
        }
    }
}
