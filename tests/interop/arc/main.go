// Two programs that send spans with OpenTelemetry's own SDK, for the tests:
//
//	arc    what the recorder of actions-runner-controller (its PR 4465) sends about jobs that ended
//	job    a program inside a job that was given a trace context: spans below TRACEPARENT
//
// Both read JSON from standard input, send over OTLP/HTTP as the OTEL_EXPORTER_OTLP_* variables say, and write JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
)

// What the SDK says beside the results of its calls: refused spans of a partial success.
var remarks = []string{}

func main() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { remarks = append(remarks, err.Error()) }))
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	programs := map[string]func(context.Context, *otlptrace.Exporter) (any, error){"arc": runArc, "job": runJob}
	if len(os.Args) != 2 || programs[os.Args[1]] == nil {
		return fmt.Errorf("usage: %s arc|job", os.Args[0])
	}
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return err
	}
	answer, err := programs[os.Args[1]](ctx, exporter)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"answer": answer, "remarks": remarks})
}

func readInput(into any) error {
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
