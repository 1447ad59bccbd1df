package unkai.runtime;

import java.io.File;
import java.io.IOError;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The Java runtime: loads the function's handler and serves invocations from the Lambda Runtime API. It stands on nothing but Java 8.
 * Behaviour and texts follow AWS's published client for this API (github.com/aws/aws-lambda-java-libs); the code is our own.
 *
 * Its one argument is the folder of the layers.
 */
public final class Bootstrap {
    private Bootstrap() {}

    public static void main(String[] arguments) throws Exception {
        Log log = new Log();
        RuntimeClient client = new RuntimeClient(System.getenv("AWS_LAMBDA_RUNTIME_API"));
        URL[] urls = classPath(System.getenv("LAMBDA_TASK_ROOT"), arguments[0] + "/java");
        ClassLoader loader = new URLClassLoader(urls, Bootstrap.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        Api api = new Api(loader, log);
        Handlers.Handler handler;
        try {
            api.installLogger();
            handler = new Handlers(loader, api).load(System.getenv("_HANDLER"));
        } catch (Throwable problem) {
            log.error(Fault.report(problem));
            client.send(client.initError("Runtime.BadFunctionCode", Writer.write(Fault.payload(problem))));
            System.exit(1);
            return;
        }
        byte[] answer = null;
        while (true) answer = serve(client, log, api, handler, client.next(answer));
    }

    /** Runs the handler; returns the message that answers the event. After what a Java program does not survive it sends that and exits. */
    private static byte[] serve(
            RuntimeClient client, Log log, Api api, Handlers.Handler handler, RuntimeClient.Event event) throws Exception {
        String requestId = event.requestId();
        log.requestId = requestId;
        String trace = event.headers.get("lambda-runtime-trace-id");
        // Where AWS's X-Ray SDK for Java looks for it: the environment of a Java process cannot change.
        if (trace == null) System.clearProperty("com.amazonaws.xray.traceHeader");
        else System.setProperty("com.amazonaws.xray.traceHeader", trace);
        try {
            byte[] response = handler.call(event.body, api.context(event));
            // An interruption that the function asked for is not the next one's.
            Thread.interrupted();
            return client.response(requestId, response);
        } catch (Throwable problem) {
            Fault.trimmed(problem);
            log.error(Fault.report(problem));
            String type = problem instanceof Fault ? "Runtime.BadFunctionCode" : "Runtime.UserException";
            byte[] message = client.error(requestId, type, Writer.write(Fault.payload(problem)));
            boolean deadly = problem instanceof VirtualMachineError || problem instanceof IOError;
            if (!deadly && !(problem instanceof Fault && ((Fault) problem).fatal)) return message;
            client.send(message);
            System.exit(1);
            return message;
        }
    }

    /** The package's classes, then its libraries, then those of layers; libraries in the order of their names. */
    private static URL[] classPath(String taskRoot, String layers) throws MalformedURLException {
        List<URL> urls = new ArrayList<>();
        urls.add(new File(taskRoot).toURI().toURL());
        for (String folder : new String[] {taskRoot, layers}) {
            File[] jars = new File(folder, "lib").listFiles((parent, name) -> name.endsWith(".jar"));
            if (jars == null) continue;
            Arrays.sort(jars);
            for (File jar : jars) urls.add(jar.toURI().toURL());
        }
        return urls.toArray(new URL[0]);
    }
}
