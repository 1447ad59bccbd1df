defmodule DynamoDB do
  @moduledoc """
  DynamoDB's JSON API, signed with Signature Version 4. Region, credentials and endpoint come from the variables that every AWS SDK
  reads: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL.
  """

  @tries 3

  @doc "`{:ok, answer}`, or `{:error, code, message}` for what DynamoDB refuses. Raises when it cannot be had."
  def call(operation, input, tries \\ @tries) do
    body = Json.encode(input)
    {url, host} = endpoint()
    headers = signed([{"host", host}, {"x-amz-target", "DynamoDB_20120810." <> operation}], body)
    request = {to_charlist(url), headers, ~c"application/x-amz-json-1.0", body}

    case :httpc.request(:post, request, [timeout: 5_000, ssl: tls()], body_format: :binary) do
      {:ok, {{_, 200, _}, _, answer}} -> {:ok, Json.decode(answer)}
      {:ok, {{_, status, _}, _, answer}} -> refused(status, answer, operation, input, tries)
      {:error, _} when tries > 1 -> again(operation, input, tries)
      {:error, reason} -> raise "DynamoDB at #{host}: #{inspect(reason)}"
    end
  end

  @doc "A map of strings as an item."
  def item(map), do: Map.new(map, fn {name, value} when is_binary(value) -> {name, %{"S" => value}} end)

  @doc "An item of strings as a map."
  def plain(item), do: Map.new(item, fn {name, %{"S" => value}} -> {name, value} end)

  defp refused(status, answer, operation, input, tries) do
    code = error_code(answer)
    passing = status >= 500 or code in ["ThrottlingException", "ProvisionedThroughputExceededException"]

    cond do
      passing and tries > 1 -> again(operation, input, tries)
      passing -> raise "DynamoDB: #{status} #{code}"
      true -> {:error, code, Json.decode(answer)["message"]}
    end
  end

  # com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException
  defp error_code(answer) do
    Json.decode(answer)["__type"] |> to_string() |> String.split("#") |> List.last()
  rescue
    Json.Error -> ""
  end

  defp again(operation, input, tries) do
    Process.sleep(100 * Integer.pow(2, @tries - tries))
    call(operation, input, tries - 1)
  end

  defp endpoint do
    url =
      System.get_env("AWS_ENDPOINT_URL_DYNAMODB") || System.get_env("AWS_ENDPOINT_URL") ||
        "https://dynamodb.#{region()}.amazonaws.com"

    %URI{scheme: scheme, host: host, port: port} = URI.parse(url)
    usual = {scheme, port} in [{"http", 80}, {"https", 443}]
    {String.trim_trailing(url, "/") <> "/", if(usual, do: host, else: "#{host}:#{port}")}
  end

  # Every header that it gets, and the body, under the credentials of the function.
  defp signed(headers, body) do
    time = Calendar.strftime(DateTime.utc_now(), "%Y%m%dT%H%M%SZ")
    token = System.get_env("AWS_SESSION_TOKEN")
    session = if token in [nil, ""], do: [], else: [{"x-amz-security-token", token}]
    headers = Enum.sort([{"x-amz-date", time} | headers] ++ session)
    names = Enum.map_join(headers, ";", &elem(&1, 0))
    lines = Enum.map(headers, fn {name, value} -> "#{name}:#{value}\n" end)
    canonical = ["POST\n/\n\n", lines, "\n", names, "\n", hash(body)]

    date = binary_part(time, 0, 8)
    scope = "#{date}/#{region()}/dynamodb/aws4_request"
    start = "AWS4" <> System.fetch_env!("AWS_SECRET_ACCESS_KEY")
    key = Enum.reduce([date, region(), "dynamodb", "aws4_request"], start, &hmac(&2, &1))
    signature = hex(hmac(key, "AWS4-HMAC-SHA256\n#{time}\n#{scope}\n#{hash(canonical)}"))
    credential = "#{System.fetch_env!("AWS_ACCESS_KEY_ID")}/#{scope}"
    authorization = "AWS4-HMAC-SHA256 Credential=#{credential}, SignedHeaders=#{names}, Signature=#{signature}"
    for {name, value} <- [{"authorization", authorization} | headers], do: {to_charlist(name), to_charlist(value)}
  end

  defp region, do: System.fetch_env!("AWS_REGION")
  defp hash(data), do: hex(:crypto.hash(:sha256, data))
  defp hmac(key, data), do: :crypto.mac(:hmac, :sha256, key, data)
  defp hex(bytes), do: Base.encode16(bytes, case: :lower)

  # Erlang trusts nobody, and checks nothing, unless told to.
  defp tls do
    if String.starts_with?(elem(endpoint(), 0), "https:") do
      {:ok, _} = Application.ensure_all_started(:ssl)
      names = [match_fun: :public_key.pkix_verify_hostname_match_fun(:https)]
      [verify: :verify_peer, cacerts: :public_key.cacerts_get(), depth: 3, customize_hostname_check: names]
    else
      []
    end
  end
end
