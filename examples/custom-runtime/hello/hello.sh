# The hello-world API: GET /hello and GET /hello/{name}, as events of an HTTP API (payload format 2.0).

greet() {
  local event name=world
  event=$(cat)
  # Without a JSON parser: a name is what needs no escape in JSON, so that it may stand in the answer as it is.
  if [[ $event =~ \"pathParameters\":\ ?\{ ]]; then
    if ! [[ $event =~ \"pathParameters\":\ ?\{\"name\":\ ?\"([^\"\\]{1,100})\"\} ]]; then
      respond 400 'a name is 1 to 100 characters, without quotes and backslashes'
      return
    fi
    name=${BASH_REMATCH[1]}
  fi
  echo "request $REQUEST_ID greets $name" >&2
  respond 200 "Hello, $name!"
}

respond() {
  printf '{"statusCode": %d, "headers": {"content-type": "application/json"}, "body": "{\\"message\\": \\"%s\\"}"}' "$1" "$2"
}
