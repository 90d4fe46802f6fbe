package main

import (
	"context"
	"errors"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type sentSpan struct{ TraceID, SpanID, ParentID, Name string }

// What a test runner does: a span for the whole, one for each test below it, one of which failed.
func runJob(ctx context.Context, exporter *otlptrace.Exporter) (any, error) {
	var input struct {
		Tests []string
		Also  string // a collector that gets the same spans
	}
	if err := readInput(&input); err != nil {
		return nil, err
	}
	direct, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(input.Also+"/v1/traces"),
		otlptracehttp.WithHeaders(nil))
	if err != nil {
		return nil, err
	}
	sent := &written{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithBatcher(direct),
		sdktrace.WithSpanProcessor(sent))
	tracer := provider.Tracer("tests", trace.WithInstrumentationVersion("1.2.3"))
	carrier := propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT")}
	ctx = propagation.TraceContext{}.Extract(ctx, carrier)
	ctx, whole := tracer.Start(ctx, "unit tests")
	for i, name := range input.Tests {
		_, test := tracer.Start(ctx, name, trace.WithAttributes(attribute.Int("test.number", i),
			attribute.StringSlice("test.tags", []string{"fast", "\u2192"}), attribute.Float64("test.weight", 0.5)))
		if i == 0 {
			test.AddLink(trace.Link{SpanContext: whole.SpanContext()})
			test.RecordError(errors.New("1 is not 2"))
			test.SetStatus(codes.Error, "failed")
		}
		test.End()
	}
	whole.End()
	return sent.spans, provider.Shutdown(ctx)
}

// A processor that remembers what ended.
type written struct{ spans []sentSpan }

func (w *written) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (w *written) OnEnd(span sdktrace.ReadOnlySpan) {
	own := span.SpanContext()
	w.spans = append(w.spans, sentSpan{own.TraceID().String(), own.SpanID().String(), span.Parent().SpanID().String(),
		span.Name()})
}
func (w *written) Shutdown(context.Context) error   { return nil }
func (w *written) ForceFlush(context.Context) error { return nil }
