import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.LinkedHashMap;
import java.util.Map;

/** The function that every client of test/runtimes implements, over aws-lambda-java-runtime-interface-client. */
public final class Handler implements RequestHandler<Map<String, Object>, Object> {
  /** An error with a type of its own, which the client names to the caller. */
  public static final class Failure extends RuntimeException {
    Failure(String message) {
      super(message);
    }
  }

  private int invocations;

  @Override
  public Object handleRequest(Map<String, Object> event, Context context) {
    invocations++;
    String action = String.valueOf(event.get("action"));
    switch (action) {
      case "echo":
        return echo(event, context);
      case "fail":
        throw new Failure(text(event));
      case "crash":
        throw new StackOverflowError(text(event));
      case "exit":
        System.exit(3);
        return null;
      case "sleep":
        sleep(((Number) event.get("ms")).longValue());
        return Map.of("logStream", context.getLogStreamName());
      case "large":
        return "x".repeat(((Number) event.get("bytes")).intValue());
      case "measure":
        return Map.of("characters", text(event).length());
      case "log":
        System.out.println("out: " + text(event));
        System.err.println("err: " + text(event));
        context.getLogger().log("logger: " + text(event) + "\n");
        return null;
      default:
        throw new Failure("unknown action " + action);
    }
  }

  private Map<String, Object> echo(Map<String, Object> event, Context context) {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("event", event);
    answer.put("count", invocations);
    answer.put("logStream", context.getLogStreamName());
    answer.put("requestId", context.getAwsRequestId());
    answer.put("functionArn", context.getInvokedFunctionArn());
    answer.put("deadlineMs", System.currentTimeMillis() + context.getRemainingTimeInMillis());
    answer.put("traceId", System.getProperty("com.amazonaws.xray.traceHeader"));
    answer.put("clientContext", context.getClientContext() == null ? null : context.getClientContext().getCustom());
    answer.put("functionName", context.getFunctionName());
    answer.put("functionVersion", context.getFunctionVersion());
    answer.put("memoryMb", context.getMemoryLimitInMB());
    answer.put("logGroup", context.getLogGroupName());
    return answer;
  }

  private static void sleep(long delayMs) {
    try {
      Thread.sleep(delayMs);
    } catch (InterruptedException interrupted) {
      throw new Failure("interrupted");
    }
  }

  private static String text(Map<String, Object> event) {
    return String.valueOf(event.get("text"));
  }
}
