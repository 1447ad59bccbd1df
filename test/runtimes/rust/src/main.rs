//! The function that every client of test/runtimes implements, over lambda_runtime.
use lambda_runtime::streaming::{channel, Body, Response};
use http::{HeaderMap, StatusCode};
use lambda_runtime::{run, service_fn, Diagnostic, Error, FunctionResponse, LambdaEvent, MetadataPrelude};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static INVOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Failure(String);

impl std::fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Failure: {}", self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic { error_type: "Failure".into(), error_message: failure.0 }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<FunctionResponse<Value, Body>, Failure> {
    let count = INVOCATIONS.fetch_add(1, Ordering::SeqCst) + 1;
    let (event, context) = event.into_parts();
    let answer = match event["action"].as_str().unwrap_or_default() {
        "echo" => json!({
            "event": event,
            "count": count,
            "logStream": context.env_config.log_stream,
            "requestId": context.request_id,
            "functionArn": context.invoked_function_arn,
            "deadlineMs": context.deadline,
            "traceId": context.xray_trace_id,
            "clientContext": context.client_context.map(|client| client.custom),
            "functionName": context.env_config.function_name,
            "functionVersion": context.env_config.version,
            "memoryMb": context.env_config.memory,
            "logGroup": context.env_config.log_group,
        }),
        "fail" => return Err(Failure(text(&event))),
        "crash" => panic!("{}", text(&event)),
        "exit" => std::process::exit(3),
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(event["ms"].as_u64().unwrap_or(0))).await;
            json!({ "logStream": context.env_config.log_stream })
        }
        "large" => json!("x".repeat(event["bytes"].as_u64().unwrap_or(0) as usize)),
        "measure" => json!({ "characters": text(&event).len() }),
        "log" => {
            println!("out: {}", text(&event));
            eprintln!("err: {}", text(&event));
            json!(null)
        }
        "stream" => return Ok(stream(event)),
        "" => return Ok(serve(event)),
        unknown => return Err(Failure(format!("unknown action {unknown}"))),
    };
    Ok(FunctionResponse::BufferedResponse(answer))
}

/// Pieces with a pause between them, some times over; at last, if the event says so, it breaks off.
fn stream(event: Value) -> FunctionResponse<Value, Body> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for _ in 0..event["times"].as_u64().unwrap_or(1) {
            for piece in event["pieces"].as_array().into_iter().flatten() {
                let piece = piece.as_str().unwrap_or_default().to_owned();
                if sender.send_data(piece.into()).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(event["pauseMs"].as_u64().unwrap_or(0))).await;
            }
        }
        if event["breaksOff"].as_bool() == Some(true) {
            sender.abort();
        }
    });
    FunctionResponse::StreamingResponse(Response::from(body))
}

/// Answers a request to the function's URL: first line and body, with a pause between them.
fn serve(event: Value) -> FunctionResponse<Value, Body> {
    let part = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    headers.insert("x-seen", part("/headers/x-sent").parse().expect("a header's value"));
    let first = format!("{} {}?{}\n", part("/requestContext/http/method"), part("/rawPath"), part("/rawQueryString"));
    let (mut sender, stream) = channel();
    let rest = part("/body");
    tokio::spawn(async move {
        if sender.send_data(first.into()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let _ = sender.send_data(rest.into()).await;
        }
    });
    let cookies = vec!["colour=blue".to_owned()];
    let metadata_prelude = MetadataPrelude { status_code: StatusCode::CREATED, headers, cookies };
    FunctionResponse::StreamingResponse(Response { metadata_prelude, stream })
}

fn text(event: &Value) -> String {
    event["text"].as_str().unwrap_or_default().to_owned()
}
