package unkai.runtime;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.List;

/** What the LambdaLogger of a function does: text as it is, or a JSON document per message, from a level on. */
final class Log {
    private static final List<String> LEVELS = Arrays.asList("UNDEFINED", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL");
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

    private final boolean json = "JSON".equalsIgnoreCase(System.getenv("AWS_LAMBDA_LOG_FORMAT"));
    private final int lowest = LEVELS.indexOf(String.valueOf(System.getenv("AWS_LAMBDA_LOG_LEVEL")).toUpperCase());
    private final PrintStream out;
    /** Of the invocation under way. */
    volatile String requestId;

    /** Takes over standard output and error, so that both write UTF-8 and whole lines. */
    Log() throws UnsupportedEncodingException {
        out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8");
        System.setOut(out);
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, "UTF-8"));
    }

    /** `level` is a LogLevel's name; UNDEFINED passes every filter. */
    void log(String message, String level) {
        int rank = LEVELS.indexOf(level);
        if (rank > 0 && rank < lowest) return;
        if (json) write(document(message, level));
        else write(rank > 0 ? "[" + level + "] " + message : message);
    }

    void error(String message) {
        log(message, json ? "ERROR" : "UNDEFINED");
    }

    /** Bytes are not formatted. */
    void log(byte[] message) {
        write(message == null ? "null" : new String(message, StandardCharsets.UTF_8));
    }

    private String document(String message, String level) {
        StringBuilder text = new StringBuilder("{\"timestamp\":\"").append(TIME.format(Instant.now())).append("\",\"message\":");
        if (message == null) text.append("null");
        else Json.quote(message, text);
        text.append(",\"level\":\"").append(level).append('"');
        if (requestId != null) text.append(",\"AWSRequestId\":\"").append(requestId).append('"');
        return text.append('}').toString();
    }

    /** One event of the log: a line break within it is written as NUL, by which the reader knows that the event goes on. */
    private void write(String text) {
        String event = text == null ? "null" : text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
        synchronized (out) {
            out.print(event.replace('\n', '\0') + "\n");
            out.flush();
        }
    }
}
