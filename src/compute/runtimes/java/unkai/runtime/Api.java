package unkai.runtime;

import java.lang.reflect.Field;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.HashMap;
import java.util.Map;

/**
 * The interfaces of aws-lambda-java-core, in whatever version the function brings: they are its own classes, so what this runtime hands
 * over stands behind proxies. A method that this runtime has no answer for gives null, zero or false.
 */
final class Api {
    static final String PACKAGE = "com.amazonaws.services.lambda.runtime.";

    private final ClassLoader loader;
    private final Log log;

    Api(ClassLoader loader, Log log) {
        this.loader = loader;
        this.log = log;
    }

    /** Undefined where the package does without the library. */
    Class<?> find(String name) {
        try {
            return Class.forName(PACKAGE + name, true, loader);
        } catch (ClassNotFoundException | NoClassDefFoundError absent) {
            return null;
        }
    }

    static boolean isContext(Class<?> type) {
        return type.getName().equals(PACKAGE + "Context");
    }

    /** What LambdaRuntime.getLogger() gives. */
    void installLogger() {
        Class<?> owner = find("LambdaRuntime");
        if (owner == null) return;
        try {
            Field field = owner.getDeclaredField("logger");
            field.setAccessible(true);
            field.set(null, logger());
        } catch (ReflectiveOperationException otherVersion) {
            // Its own logger writes to standard output too.
        }
    }

    /** Null where the package has no such interface: nobody can ask for a context then. */
    Object context(RuntimeClient.Event event) {
        Class<?> type = find("Context");
        if (type == null) return null;
        Map<String, String> headers = event.headers;
        long deadlineMs = Long.parseLong(headers.getOrDefault("lambda-runtime-deadline-ms", "0"));
        Map<String, Object> values = new HashMap<>();
        values.put("getAwsRequestId", event.requestId());
        values.put("getLogGroupName", System.getenv("AWS_LAMBDA_LOG_GROUP_NAME"));
        values.put("getLogStreamName", System.getenv("AWS_LAMBDA_LOG_STREAM_NAME"));
        values.put("getFunctionName", System.getenv("AWS_LAMBDA_FUNCTION_NAME"));
        values.put("getFunctionVersion", System.getenv("AWS_LAMBDA_FUNCTION_VERSION"));
        values.put("getInvokedFunctionArn", headers.get("lambda-runtime-invoked-function-arn"));
        values.put("getMemoryLimitInMB", Integer.valueOf(System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")));
        values.put("getXrayTraceId", headers.get("lambda-runtime-trace-id"));
        values.put("getIdentity", identity(headers.get("lambda-runtime-cognito-identity")));
        values.put("getClientContext", clientContext(headers.get("lambda-runtime-client-context")));
        values.put("getLogger", logger());
        return proxy(type, (proxy, method, arguments) -> method.getName().equals("getRemainingTimeInMillis")
                ? (Object) (int) Math.max(0, deadlineMs - System.currentTimeMillis())
                : values.get(method.getName()));
    }

    private Object logger() {
        return proxy(find("LambdaLogger"), (proxy, method, arguments) -> {
            if (!method.getName().equals("log")) return null;
            String level = arguments.length > 1 ? String.valueOf(arguments[1]) : "UNDEFINED";
            if (arguments[0] instanceof byte[]) log.log((byte[]) arguments[0]);
            else log.log((String) arguments[0], level);
            return null;
        });
    }

    private Object identity(String text) {
        if (text == null || text.isEmpty()) return null;
        Map<?, ?> json = (Map<?, ?>) Json.parse(text);
        Map<String, Object> values = new HashMap<>();
        values.put("getIdentityId", json.get("cognitoIdentityId"));
        values.put("getIdentityPoolId", json.get("cognitoIdentityPoolId"));
        return proxy(find("CognitoIdentity"), (proxy, method, arguments) -> values.get(method.getName()));
    }

    private Object clientContext(String text) {
        if (text == null || text.isEmpty()) return null;
        Map<?, ?> json = (Map<?, ?>) Json.parse(text);
        Map<String, Object> values = new HashMap<>();
        values.put("getCustom", json.get("custom"));
        values.put("getEnvironment", json.get("env"));
        if (json.get("client") instanceof Map) values.put("getClient", client((Map<?, ?>) json.get("client")));
        return proxy(find("ClientContext"), (proxy, method, arguments) -> values.get(method.getName()));
    }

    private Object client(Map<?, ?> json) {
        Map<String, Object> values = new HashMap<>();
        values.put("getInstallationId", json.get("installation_id"));
        values.put("getAppTitle", json.get("app_title"));
        values.put("getAppVersionName", json.get("app_version_name"));
        values.put("getAppVersionCode", json.get("app_version_code"));
        values.put("getAppPackageName", json.get("app_package_name"));
        return proxy(find("Client"), (proxy, method, arguments) -> values.get(method.getName()));
    }

    private Object proxy(Class<?> type, InvocationHandler answers) {
        return Proxy.newProxyInstance(loader, new Class<?>[] {type}, (proxy, method, arguments) -> {
            if (method.getDeclaringClass() == Object.class) return ofObject(proxy, method, arguments);
            Object answer = answers.invoke(proxy, method, arguments);
            Class<?> wanted = method.getReturnType();
            return answer == null && wanted.isPrimitive() && wanted != void.class ? Reader.read(null, wanted) : answer;
        });
    }

    private static Object ofObject(Object proxy, Method method, Object[] arguments) {
        if (method.getName().equals("equals")) return proxy == arguments[0];
        if (method.getName().equals("hashCode")) return System.identityHashCode(proxy);
        return proxy.getClass().getInterfaces()[0].getName();
    }
}
