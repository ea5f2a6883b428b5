package otlp

import (
	"context"

	"go.opentelemetry.io/otel/propagation"

	"wadm/telemetry"
)

// Inject writes the trace of ctx into h, which must not be nil. Without a
// trace it writes nothing.
func (t *Tracing) Inject(ctx context.Context, h telemetry.Headers) {
	t.propagator.Inject(ctx, h)
}

// Extract returns ctx with the trace that h carries, if it carries one.
func (t *Tracing) Extract(ctx context.Context, h telemetry.Headers) context.Context {
	return t.propagator.Extract(ctx, h)
}

// propagator reads OTEL_PROPAGATORS, which the SDK does not. What it does not
// know it reports.
func propagator(list string) (propagation.TextMapPropagator, []string) {
	if list == "" {
		return propagation.TraceContext{}, nil
	}
	var known []propagation.TextMapPropagator
	var unknown []string
	for _, name := range splitList(list) {
		switch name {
		case "tracecontext":
			known = append(known, propagation.TraceContext{})
		case "baggage":
			known = append(known, propagation.Baggage{})
		case "none":
			return propagation.NewCompositeTextMapPropagator(), unknown
		default:
			unknown = append(unknown, name)
		}
	}
	return propagation.NewCompositeTextMapPropagator(known...), unknown
}
