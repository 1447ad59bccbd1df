package unkai.runtime;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON text to maps, lists, strings, numbers and booleans, and back. Numbers are Integer, Long, BigInteger or Double, as they fit. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value();
        json.space();
        if (json.at < text.length()) throw json.unexpected();
        return value;
    }

    static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int index = 0; index < text.length(); index++) {
            char character = text.charAt(index);
            if (character == '"' || character == '\\') out.append('\\').append(character);
            else if (character == '\n') out.append("\\n");
            else if (character == '\r') out.append("\\r");
            else if (character == '\t') out.append("\\t");
            // Half a pair cannot be written in UTF-8.
            else if (character < ' ' || isLoneSurrogate(text, index)) out.append(String.format("\\u%04x", (int) character));
            else out.append(character);
        }
        out.append('"');
    }

    private static boolean isLoneSurrogate(String text, int index) {
        char character = text.charAt(index);
        if (Character.isHighSurrogate(character)) {
            return index + 1 == text.length() || !Character.isLowSurrogate(text.charAt(index + 1));
        }
        return Character.isLowSurrogate(character) && (index == 0 || !Character.isHighSurrogate(text.charAt(index - 1)));
    }

    private Object value() {
        space();
        if (at == text.length()) throw new IllegalArgumentException("Unexpected end of the JSON text");
        switch (text.charAt(at)) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object() {
        Map<String, Object> object = new LinkedHashMap<>();
        at++;
        space();
        if (skip('}')) return object;
        do {
            space();
            if (at == text.length() || text.charAt(at) != '"') throw unexpected();
            String name = string();
            space();
            if (!skip(':')) throw unexpected();
            object.put(name, value());
            space();
        } while (skip(','));
        if (!skip('}')) throw unexpected();
        return object;
    }

    private List<Object> array() {
        List<Object> array = new ArrayList<>();
        at++;
        space();
        if (skip(']')) return array;
        do {
            array.add(value());
            space();
        } while (skip(','));
        if (!skip(']')) throw unexpected();
        return array;
    }

    private String string() {
        int start = ++at;
        int end = start;
        while (end < text.length() && text.charAt(end) != '"' && text.charAt(end) != '\\') end++;
        if (end < text.length() && text.charAt(end) == '"') {
            at = end + 1;
            return text.substring(start, end);
        }
        StringBuilder out = new StringBuilder(text.substring(start, end));
        at = end;
        while (at < text.length()) {
            char character = text.charAt(at++);
            if (character == '"') return out.toString();
            if (character != '\\') {
                out.append(character);
                continue;
            }
            if (at == text.length()) break;
            char escape = text.charAt(at++);
            int simple = "bfnrt".indexOf(escape);
            if (simple >= 0) out.append("\b\f\n\r\t".charAt(simple));
            else if (escape != 'u') out.append(escape);
            else {
                if (at + 4 > text.length()) break;
                out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                at += 4;
            }
        }
        throw new IllegalArgumentException("Unexpected end of the JSON text within a string");
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) throw unexpected();
        at += word.length();
        return value;
    }

    private Number number() {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
        String digits = text.substring(start, at);
        try {
            if (digits.indexOf('.') >= 0 || digits.indexOf('e') >= 0 || digits.indexOf('E') >= 0) return Double.valueOf(digits);
            BigInteger integer = new BigInteger(digits);
            if (integer.bitLength() < 32) return integer.intValue();
            if (integer.bitLength() < 64) return integer.longValue();
            return integer;
        } catch (NumberFormatException problem) {
            at = start;
            throw unexpected();
        }
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    }

    private boolean skip(char character) {
        if (at == text.length() || text.charAt(at) != character) return false;
        at++;
        return true;
    }

    private IllegalArgumentException unexpected() {
        String what = at < text.length() ? "'" + text.charAt(at) + "'" : "end";
        return new IllegalArgumentException("Unexpected " + what + " at character " + at + " of the JSON text");
    }
}
