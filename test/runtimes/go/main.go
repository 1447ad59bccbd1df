// The function that every client of test/runtimes implements, over aws-lambda-go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-lambda-go/lambdaurl"
)

var invocations int

// Failure is an error with a type of its own, which the client names to the caller.
type Failure struct{ text string }

func (failure Failure) Error() string { return failure.text }

type event struct {
	Action    string   `json:"action"`
	Text      string   `json:"text"`
	Ms        int      `json:"ms"`
	Bytes     int      `json:"bytes"`
	Pieces    []string `json:"pieces"`
	Times     int      `json:"times"`
	PauseMs   int      `json:"pauseMs"`
	BreaksOff bool     `json:"breaksOff"`
}

func main() { lambda.Start(handle) }

func handle(ctx context.Context, raw json.RawMessage) (any, error) {
	invocations++
	var in event
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	switch in.Action {
	case "echo":
		return echo(ctx, raw)
	case "fail":
		return nil, Failure{in.Text}
	case "crash":
		panic(in.Text)
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Duration(in.Ms) * time.Millisecond)
		return map[string]any{"logStream": lambdacontext.LogStreamName}, nil
	case "large":
		return strings.Repeat("x", in.Bytes), nil
	case "measure":
		return map[string]any{"characters": len(in.Text)}, nil
	case "log":
		fmt.Println("out: " + in.Text)
		fmt.Fprintln(os.Stderr, "err: "+in.Text)
		return nil, nil
	case "stream":
		return stream(in), nil
	case "":
		var request events.LambdaFunctionURLRequest
		if err := json.Unmarshal(raw, &request); err != nil {
			return nil, err
		}
		return lambdaurl.Wrap(http.HandlerFunc(serve))(ctx, &request)
	}
	return nil, fmt.Errorf("unknown action %s", in.Action)
}

func echo(ctx context.Context, raw json.RawMessage) (any, error) {
	here, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"event":           raw,
		"count":           invocations,
		"logStream":       lambdacontext.LogStreamName,
		"requestId":       here.AwsRequestID,
		"functionArn":     here.InvokedFunctionArn,
		"deadlineMs":      deadline.UnixMilli(),
		"traceId":         ctx.Value("x-amzn-trace-id"),
		"clientContext":   here.ClientContext.Custom,
		"functionName":    lambdacontext.FunctionName,
		"functionVersion": lambdacontext.FunctionVersion,
		"memoryMb":        lambdacontext.MemoryLimitInMB,
		"logGroup":        lambdacontext.LogGroupName,
	}, nil
}

// Answers a request to the function's URL: first line and body, with a pause between them.
func serve(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("X-Seen", request.Header.Get("X-Sent"))
	http.SetCookie(response, &http.Cookie{Name: "colour", Value: "blue"})
	response.WriteHeader(http.StatusCreated)
	fmt.Fprintf(response, "%s %s\n", request.Method, request.URL.RequestURI())
	time.Sleep(400 * time.Millisecond)
	io.Copy(response, request.Body)
}

// A reader is a streamed response: pieces with a pause between them, some times over; at last, if the event says so, it breaks off.
func stream(in event) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		for round := 0; round < in.Times; round++ {
			for _, piece := range in.Pieces {
				if _, err := io.WriteString(writer, piece); err != nil {
					return
				}
				time.Sleep(time.Duration(in.PauseMs) * time.Millisecond)
			}
		}
		if in.BreaksOff {
			writer.CloseWithError(errors.New("broken off"))
			return
		}
		writer.Close()
	}()
	return reader
}
