package unkai.runtime;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.ServiceLoader;

/** Between events and the types of a handler: a CustomPojoSerializer that the package provides, else our own reader and writer. */
final class Serializer {
    private final Object custom;
    private final Class<?> customType;

    Serializer(ClassLoader loader, Api api) {
        customType = api.find("CustomPojoSerializer");
        Iterator<?> provided = customType == null ? null : ServiceLoader.load(customType, loader).iterator();
        custom = provided != null && provided.hasNext() ? provided.next() : null;
    }

    Object read(byte[] event, Type type) {
        try {
            if (custom == null) return Reader.read(Json.parse(new String(event, StandardCharsets.UTF_8)), type);
            Method method = customType.getMethod("fromJson", InputStream.class, Type.class);
            return method.invoke(custom, new ByteArrayInputStream(event), type);
        } catch (Throwable problem) {
            throw new RuntimeException("An error occurred during JSON parsing", Fault.trimmed(thrownBy(problem)));
        }
    }

    byte[] write(Object value, Type type) {
        try {
            if (custom == null) return Writer.write(value);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            customType.getMethod("toJson", Object.class, OutputStream.class, Type.class).invoke(custom, value, out, type);
            return out.toByteArray();
        } catch (Throwable problem) {
            throw new RuntimeException("An error occurred during JSON serialization of response", Fault.trimmed(thrownBy(problem)));
        }
    }

    private static Throwable thrownBy(Throwable problem) {
        return problem instanceof InvocationTargetException && problem.getCause() != null ? problem.getCause() : problem;
    }
}
