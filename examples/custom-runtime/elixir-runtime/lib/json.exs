defmodule Json do
  @moduledoc "JSON as maps with string keys, lists, strings, numbers, booleans and nil. Elixir 1.14 and Erlang 25 have none of their own."

  defmodule Error do
    defexception [:message]
  end

  @doc "Raises Json.Error for what is not JSON."
  def decode(text) when is_binary(text) do
    {value, rest} = value(skip(text))
    if skip(rest) != "", do: fail("there is more after the value")
    value
  end

  @doc "Atoms are written as strings, but for true, false and nil."
  def encode(value), do: IO.iodata_to_binary(write(value))

  defp value("{" <> rest), do: object(skip(rest), %{})
  defp value("[" <> rest), do: array(skip(rest), [])
  defp value("\"" <> rest), do: string(rest, [])
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("null" <> rest), do: {nil, rest}
  defp value(text), do: number(text)

  defp object("}" <> rest, members) when members == %{}, do: {members, rest}

  defp object("\"" <> rest, members) do
    {name, rest} = string(rest, [])
    ":" <> rest = expect(skip(rest), ":")
    {value, rest} = value(skip(rest))
    members = Map.put(members, name, value)

    case skip(rest) do
      "," <> rest -> object_member(skip(rest), members)
      "}" <> rest -> {members, rest}
      _ -> fail("an object does not end")
    end
  end

  defp object(_, _), do: fail("a name is missing in an object")

  defp object_member("\"" <> _ = rest, members), do: object(rest, members)
  defp object_member(_, _), do: fail("a name is missing in an object")

  defp array("]" <> rest, []), do: {[], rest}

  defp array(text, values) do
    {value, rest} = value(text)

    case skip(rest) do
      "," <> rest -> array(skip(rest), [value | values])
      "]" <> rest -> {Enum.reverse([value | values]), rest}
      _ -> fail("an array does not end")
    end
  end

  # Whole runs of plain characters at once: strings may be megabytes long.
  defp string(text, parts) do
    length = plain(text, 0)
    <<part::binary-size(length), rest::binary>> = text

    case rest do
      "\"" <> rest -> {IO.iodata_to_binary([parts | part]), rest}
      "\\" <> rest -> escape(rest, [parts | part])
      _ -> fail("a string does not end")
    end
  end

  defp plain(<<byte, rest::binary>>, length) when byte >= 0x20 and byte != ?" and byte != ?\\, do: plain(rest, length + 1)
  defp plain(_, length), do: length

  defp escape("u" <> rest, parts) do
    {first, rest} = hex(rest)

    if first in 0xD800..0xDBFF do
      "\\u" <> rest = expect(rest, "\\u")
      {second, rest} = hex(rest)
      if second not in 0xDC00..0xDFFF, do: fail("half a surrogate pair")
      string(rest, [parts | <<0x10000 + (first - 0xD800) * 0x400 + (second - 0xDC00)::utf8>>])
    else
      if first in 0xDC00..0xDFFF, do: fail("half a surrogate pair")
      string(rest, [parts | <<first::utf8>>])
    end
  end

  for {character, meaning} <- [{?", ?"}, {?\\, ?\\}, {?/, ?/}, {?b, 8}, {?f, 12}, {?n, 10}, {?r, 13}, {?t, 9}] do
    defp escape(<<unquote(character), rest::binary>>, parts), do: string(rest, [parts | <<unquote(meaning)>>])
  end

  defp escape(_, _), do: fail("an escape that JSON does not have")

  defp hex(<<digits::binary-size(4), rest::binary>>) do
    case Integer.parse(digits, 16) do
      {code, ""} when code >= 0 and binary_part(digits, 0, 1) != "+" -> {code, rest}
      _ -> fail("four hexadecimal digits are missing")
    end
  end

  defp hex(_), do: fail("four hexadecimal digits are missing")

  defp number(text) do
    case Regex.run(~r/\A-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/, text) do
      [whole] -> {String.to_integer(whole), rest(text, whole)}
      [whole, "", exponent] -> {float(String.replace(whole, exponent, ".0" <> exponent)), rest(text, whole)}
      [whole | _] -> {float(whole), rest(text, whole)}
      nil -> fail("a value is missing")
    end
  end

  defp float(text) do
    case Float.parse(text) do
      {value, ""} -> value
      _ -> fail("#{text} is no number that fits")
    end
  rescue
    ArgumentError -> fail("#{text} is no number that fits")
  end

  defp rest(text, start), do: binary_part(text, byte_size(start), byte_size(text) - byte_size(start))

  defp skip(<<space, rest::binary>>) when space in [?\s, ?\t, ?\n, ?\r], do: skip(rest)
  defp skip(text), do: text

  defp expect(text, start), do: if(String.starts_with?(text, start), do: text, else: fail("#{start} is missing"))

  defp fail(message), do: raise(Error, message: message)

  defp write(nil), do: "null"
  defp write(value) when is_boolean(value), do: Atom.to_string(value)
  defp write(value) when is_atom(value), do: write(Atom.to_string(value))
  defp write(value) when is_integer(value), do: Integer.to_string(value)
  defp write(value) when is_float(value), do: Float.to_string(value)
  defp write(value) when is_list(value), do: ["[", Enum.map_intersperse(value, ",", &write/1), "]"]

  defp write(value) when is_map(value) do
    members = Enum.map_intersperse(value, ",", fn {name, member} -> [quoted(to_string(name)), ":", write(member)] end)
    ["{", members, "}"]
  end

  defp write(value) when is_binary(value), do: quoted(value)

  defp quoted(text), do: [?", quoted(text, []), ?"]

  defp quoted(text, parts) do
    length = plain(text, 0)
    <<part::binary-size(length), rest::binary>> = text

    case rest do
      "" -> [parts | part]
      <<byte, rest::binary>> -> quoted(rest, [[parts | part] | escaped(byte)])
    end
  end

  defp escaped(?"), do: "\\\""
  defp escaped(?\\), do: "\\\\"
  defp escaped(?\n), do: "\\n"
  defp escaped(byte), do: "\\u" <> String.pad_leading(Integer.to_string(byte, 16), 4, "0")
end
