package unkai.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A mistake in how the function is built or named. One that is fatal ends the initialisation, others are each invocation's. */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String OWN = Fault.class.getPackage().getName() + ".";

    final String type;
    final String trace;
    final boolean fatal;

    Fault(String message, Throwable cause, boolean fatal) {
        super(message);
        type = cause == null ? null : cause.getClass().getName();
        trace = cause == null ? null : traceOf(cause);
        this.fatal = fatal;
    }

    /** The payload that the caller gets. */
    static Map<String, Object> payload(Throwable problem) {
        Map<String, Object> payload = new LinkedHashMap<>();
        payload.put("errorMessage", messageOf(problem));
        if (problem instanceof Fault) {
            if (((Fault) problem).type != null) payload.put("errorType", ((Fault) problem).type);
            return payload;
        }
        payload.put("errorType", problem.getClass().getName());
        List<String> frames = new ArrayList<>();
        for (StackTraceElement frame : problem.getStackTrace()) frames.add(frame.toString());
        payload.put("stackTrace", frames);
        if (problem.getCause() != null) payload.put("cause", payload(problem.getCause()));
        return payload;
    }

    static String messageOf(Throwable problem) {
        return problem.getLocalizedMessage() == null ? problem.getClass().getName() : problem.getLocalizedMessage();
    }

    /** What the log says of it. */
    static String report(Throwable problem) {
        if (!(problem instanceof Fault)) return messageOf(problem) + ": " + problem.getClass().getName() + "\n" + traceOf(problem) + "\n";
        Fault fault = (Fault) problem;
        return fault.type == null ? fault.getMessage() + "\n" : fault.getMessage() + ": " + fault.type + "\n" + fault.trace + "\n";
    }

    /** Cuts the runtime's own frames, and what lies below them, off the traces of a problem and of its causes. */
    static <T extends Throwable> T trimmed(T problem) {
        for (Throwable each = problem; each != null; each = each.getCause()) {
            StackTraceElement[] frames = each.getStackTrace();
            for (int index = 0; index < frames.length; index++) {
                if (!frames[index].getClassName().startsWith(OWN)) continue;
                each.setStackTrace(Arrays.copyOf(frames, index));
                break;
            }
        }
        return problem;
    }

    private static String traceOf(Throwable problem) {
        StringWriter text = new StringWriter();
        trimmed(problem).printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}
