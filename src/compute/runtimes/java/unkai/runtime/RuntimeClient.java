package unkai.runtime;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * The Runtime API over one keep-alive connection. An answer and the request for the next event travel together, so that an
 * invocation costs one packet in and one out.
 */
final class RuntimeClient {
    private static final String PREFIX = "/2018-06-01/runtime/";

    static final class Event {
        final Map<String, String> headers;
        final byte[] body;

        Event(Map<String, String> headers, byte[] body) {
            this.headers = headers;
            this.body = body;
        }

        String requestId() {
            return headers.get("lambda-runtime-aws-request-id");
        }
    }

    private final String address;
    private final DataInputStream input;
    private final OutputStream output;

    RuntimeClient(String address) throws IOException {
        this.address = address;
        int colon = address.lastIndexOf(':');
        @SuppressWarnings("resource")
        Socket socket = new Socket(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
        socket.setTcpNoDelay(true);
        input = new DataInputStream(new BufferedInputStream(socket.getInputStream(), 65536));
        output = socket.getOutputStream();
    }

    /** Sends the answer to the last event, if any, and waits for the next. */
    Event next(byte[] answer) throws IOException {
        String head = "GET " + PREFIX + "invocation/next HTTP/1.1\r\nHost: " + address + "\r\n\r\n";
        ByteArrayOutputStream message = new ByteArrayOutputStream();
        if (answer != null) message.write(answer);
        message.write(head.getBytes(StandardCharsets.US_ASCII));
        output.write(message.toByteArray());
        if (answer != null) read();
        return read();
    }

    void send(byte[] message) throws IOException {
        output.write(message);
        read();
    }

    byte[] response(String requestId, byte[] body) {
        return post("invocation/" + requestId + "/response", "", body);
    }

    byte[] error(String requestId, String type, byte[] body) {
        return post("invocation/" + requestId + "/error", errorHeader(type), body);
    }

    byte[] initError(String type, byte[] body) {
        return post("init/error", errorHeader(type), body);
    }

    private static String errorHeader(String type) {
        return "Lambda-Runtime-Function-Error-Type: " + type + "\r\n";
    }

    private byte[] post(String path, String header, byte[] body) {
        String head = "POST " + PREFIX + path + " HTTP/1.1\r\nHost: " + address + "\r\nContent-Type: application/json\r\n"
                + header + "Content-Length: " + body.length + "\r\n\r\n";
        byte[] start = head.getBytes(StandardCharsets.US_ASCII);
        byte[] message = new byte[start.length + body.length];
        System.arraycopy(start, 0, message, 0, start.length);
        System.arraycopy(body, 0, message, start.length, body.length);
        return message;
    }

    private Event read() throws IOException {
        Map<String, String> headers = new HashMap<>();
        try {
            line();
            for (String line = line(); !line.isEmpty(); line = line()) {
                int colon = line.indexOf(':');
                headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
            }
            byte[] body = new byte[Integer.parseInt(headers.getOrDefault("content-length", "0"))];
            input.readFully(body);
            return new Event(headers, body);
        } catch (EOFException gone) {
            // Without the Runtime API there is nothing to live for.
            Runtime.getRuntime().halt(1);
            throw gone;
        }
    }

    private String line() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(128);
        for (int next = input.readUnsignedByte(); next != '\n'; next = input.readUnsignedByte()) {
            if (next != '\r') bytes.write(next);
        }
        return new String(bytes.toByteArray(), StandardCharsets.UTF_8);
    }
}
