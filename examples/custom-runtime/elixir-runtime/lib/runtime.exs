# A Lambda runtime in Elixir, which asks for its events with Erlang's own HTTP client. The handler `notes.handle` is the function
# handle/2 of the module Notes in notes.exs: it takes the event, decoded, and what is known about the invocation.
Code.require_file("json.exs", __DIR__)

defmodule Runtime do
  @version "2018-06-01"

  def start do
    {:ok, _} = Application.ensure_all_started(:inets)
    # One request at a time, always to the same server: nothing is to be queued behind the long poll.
    :httpc.set_options(max_keep_alive_length: 0, max_pipeline_length: 0)

    case load(System.fetch_env!("_HANDLER")) do
      {:ok, handler} ->
        serve(handler)

      {:error, error} ->
        post("init/error", error["errorType"], Json.encode(error))
        System.halt(1)
    end
  end

  defp load(name) do
    root = System.fetch_env!("LAMBDA_TASK_ROOT")
    [file, function] = String.split(name, ".", parts: 2)
    Code.require_file(file <> ".exs", root)
    module = Module.concat([Macro.camelize(file)])
    function = String.to_atom(function)

    if function_exported?(module, function, 2) do
      {:ok, &apply(module, function, [&1, &2])}
    else
      {:error, %{"errorType" => "Runtime.NoSuchHandler", "errorMessage" => "#{inspect(module)}.#{function}/2 is missing"}}
    end
  rescue
    error -> {:error, describe(:error, error, __STACKTRACE__)}
  end

  defp serve(handler) do
    {headers, body} = next()
    context = context(headers)
    System.put_env("_X_AMZN_TRACE_ID", context.trace_id || "")

    case answer(handler, body, context) do
      {:ok, response} -> post("invocation/#{context.request_id}/response", nil, response)
      {:error, error} -> post("invocation/#{context.request_id}/error", error["errorType"], Json.encode(error))
    end

    serve(handler)
  end

  defp answer(handler, body, context) do
    {:ok, Json.encode(handler.(Json.decode(body), context))}
  catch
    kind, reason ->
      error = describe(kind, reason, __STACKTRACE__)
      IO.puts(:stderr, "#{error["errorType"]}: #{error["errorMessage"]}\n#{Exception.format_stacktrace(__STACKTRACE__)}")
      {:error, error}
  end

  defp describe(:error, reason, trace) do
    exception = Exception.normalize(:error, reason, trace)
    describe(inspect(exception.__struct__), Exception.message(exception), trace)
  end

  defp describe(kind, reason, trace) when is_atom(kind), do: describe(Atom.to_string(kind), inspect(reason), trace)

  defp describe(type, message, trace) do
    lines = Enum.map(trace, &Exception.format_stacktrace_entry/1)
    %{"errorType" => type, "errorMessage" => message, "stackTrace" => lines}
  end

  defp next do
    # The event may be long in coming.
    {:ok, {{_, 200, _}, headers, body}} =
      :httpc.request(:get, {url("invocation/next"), []}, [timeout: :infinity], body_format: :binary)

    {Map.new(headers, fn {name, value} -> {to_string(name), to_string(value)} end), body}
  end

  defp context(headers) do
    client_context = headers["lambda-runtime-client-context"]

    %{
      request_id: headers["lambda-runtime-aws-request-id"],
      deadline_ms: String.to_integer(headers["lambda-runtime-deadline-ms"]),
      function_arn: headers["lambda-runtime-invoked-function-arn"],
      trace_id: headers["lambda-runtime-trace-id"],
      client_context: client_context && Json.decode(client_context)
    }
  end

  defp post(path, error_type, body) do
    headers = if error_type, do: [{~c"lambda-runtime-function-error-type", to_charlist(error_type)}], else: []

    {:ok, {{_, status, _}, _, said}} =
      :httpc.request(:post, {url(path), headers, ~c"application/json", body}, [timeout: :infinity], body_format: :binary)

    if status != 202, do: IO.puts(:stderr, "#{path} was answered with #{status}: #{said}")
  end

  defp url(path), do: to_charlist("http://#{System.fetch_env!("AWS_LAMBDA_RUNTIME_API")}/#{@version}/runtime/#{path}")
end

Runtime.start()
