# The function that every client of test/runtimes implements, over the Elixir runtime of examples/custom-runtime.
defmodule Failure do
  defexception [:message]
end

defmodule Act do
  def handle(event, context) do
    count = Process.get(:count, 0) + 1
    Process.put(:count, count)
    act(event["action"], event, context)
  end

  defp act("echo", event, context) do
    %{
      event: event,
      count: Process.get(:count),
      logStream: env("LOG_STREAM_NAME"),
      requestId: context.request_id,
      functionArn: context.function_arn,
      deadlineMs: context.deadline_ms,
      traceId: System.get_env("_X_AMZN_TRACE_ID"),
      clientContext: context.client_context["custom"],
      functionName: env("FUNCTION_NAME"),
      functionVersion: env("FUNCTION_VERSION"),
      memoryMb: String.to_integer(env("FUNCTION_MEMORY_SIZE")),
      logGroup: env("LOG_GROUP_NAME")
    }
  end

  defp act("fail", event, _), do: raise(Failure, message: event["text"])
  defp act("crash", event, _), do: :erlang.halt(to_charlist(event["text"]))
  defp act("exit", _, _), do: System.halt(3)

  defp act("sleep", event, _) do
    Process.sleep(event["ms"])
    %{logStream: env("LOG_STREAM_NAME")}
  end

  defp act("large", event, _), do: String.duplicate("x", event["bytes"])
  defp act("measure", event, _), do: %{characters: String.length(event["text"])}

  defp act("log", event, _) do
    IO.puts("out: " <> event["text"])
    IO.puts(:stderr, "err: " <> event["text"])
    nil
  end

  defp env(name), do: System.fetch_env!("AWS_LAMBDA_" <> name)
end
