# The function that every client of test/runtimes implements, over the bash runtime of examples/custom-runtime.

act() {
  local event
  event=$(cat)
  count=$(($(cat "${TMPDIR:-/tmp}/count" 2>/dev/null || echo 0) + 1))
  echo $count >"${TMPDIR:-/tmp}/count"
  case $(field action) in
    echo)
      cat <<JSON
{"event": $event, "count": $count, "logStream": "$AWS_LAMBDA_LOG_STREAM_NAME", "requestId": "$REQUEST_ID",
 "functionArn": "$FUNCTION_ARN", "deadlineMs": $DEADLINE_MS, "traceId": "$_X_AMZN_TRACE_ID",
 "clientContext": $(sed -E 's/.*"custom": ?(\{[^}]*\}).*/\1/' <<<"${CLIENT_CONTEXT:-null}"),
 "functionName": "$AWS_LAMBDA_FUNCTION_NAME", "functionVersion": "$AWS_LAMBDA_FUNCTION_VERSION",
 "memoryMb": $AWS_LAMBDA_FUNCTION_MEMORY_SIZE, "logGroup": "$AWS_LAMBDA_LOG_GROUP_NAME"}
JSON
      ;;
    fail)
      field text
      return 1
      ;;
    crash) kill -KILL $$ ;;
    exit) exit 3 ;;
    sleep)
      sleep "$(($(field ms) / 1000)).$(($(field ms) % 1000))"
      echo "{\"logStream\": \"$AWS_LAMBDA_LOG_STREAM_NAME\"}"
      ;;
    large)
      printf '"'
      head -c "$(field bytes)" /dev/zero | tr '\0' x
      printf '"'
      ;;
    measure)
      local before=${event%%\"text\":\"*}
      echo "{\"characters\": $((${#event} - ${#before} - 10))}"
      ;;
    log)
      echo "out: $(field text)" >&2
      echo null
      ;;
  esac
}

# A string without escapes or a number, of the event.
field() {
  head -c 1000 <<<"$event" | sed -nE "s/.*\"$1\": ?\"?([^\",}]*).*/\1/p"
}
