# The notes API, as events of an HTTP API (payload format 2.0): create, read, update and delete notes in a DynamoDB table.
Code.require_file("dynamodb.exs", __DIR__)

defmodule Notes do
  def handle(event, context) do
    IO.puts("#{context.request_id} #{event["routeKey"]}")
    route(event["routeKey"], event["pathParameters"]["id"], event)
  end

  defp route("POST /notes", _, event) do
    with {:ok, note} <- note(event) do
      id = Base.encode16(:crypto.strong_rand_bytes(8), case: :lower)
      item = Map.put(note, "id", id)
      # Its id is new, so that there is nothing to overwrite, and nothing to lose when the request is sent again.
      {:ok, _} = DynamoDB.call("PutItem", %{"TableName" => table(), "Item" => DynamoDB.item(item)})
      respond(201, item, %{"location" => "/notes/" <> id})
    end
  end

  defp route("GET /notes/{id}", id, _) do
    {:ok, answer} = DynamoDB.call("GetItem", %{"TableName" => table(), "Key" => DynamoDB.item(%{"id" => id}), "ConsistentRead" => true})
    if answer["Item"], do: respond(200, DynamoDB.plain(answer["Item"])), else: missing(id)
  end

  defp route("PUT /notes/{id}", id, event) do
    with {:ok, note} <- note(event) do
      item = DynamoDB.item(Map.put(note, "id", id))
      condition = "attribute_exists(id)"

      case DynamoDB.call("PutItem", %{"TableName" => table(), "Item" => item, "ConditionExpression" => condition}) do
        {:ok, _} -> respond(200, DynamoDB.plain(item))
        {:error, "ConditionalCheckFailedException", _} -> missing(id)
      end
    end
  end

  defp route("DELETE /notes/{id}", id, _) do
    key = DynamoDB.item(%{"id" => id})
    {:ok, answer} = DynamoDB.call("DeleteItem", %{"TableName" => table(), "Key" => key, "ReturnValues" => "ALL_OLD"})
    if answer["Attributes"], do: %{"statusCode" => 204}, else: missing(id)
  end

  # What is wrong with the body is the caller's to know.
  defp note(event) do
    case decoded(event) do
      %{"title" => title} = note when is_binary(title) ->
        text = Map.get(note, "text", "")

        cond do
          String.length(title) not in 1..100 -> bad("title has 1 to 100 characters")
          not is_binary(text) -> bad("text is not a string")
          true -> {:ok, %{"title" => title, "text" => text}}
        end

      %{"title" => _} ->
        bad("title is not a string")

      %{} ->
        bad("title is missing")

      :not_json ->
        bad("the body is not JSON")

      _ ->
        bad("the body must be a JSON object")
    end
  end

  defp decoded(%{"body" => body, "isBase64Encoded" => true}), do: decoded(%{"body" => Base.decode64!(body)})

  defp decoded(event) do
    Json.decode(event["body"] || "")
  rescue
    Json.Error -> :not_json
  end

  defp bad(message), do: respond(400, %{"message" => message})
  defp missing(id), do: respond(404, %{"message" => "there is no note #{id}"})

  defp respond(status, body, headers \\ %{}) do
    headers = Map.put(headers, "content-type", "application/json")
    %{"statusCode" => status, "headers" => headers, "body" => Json.encode(body)}
  end

  defp table, do: System.fetch_env!("TABLE_NAME")
end
