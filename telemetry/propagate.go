package telemetry

import (
	"context"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/propagation"
)

// Headers carries a trace in the headers of a message. It is a plain map, as
// nats.Header is: convert with Headers(msg.Header). Names stay exactly as
// given; hosts look for "traceparent" in lower case, and the usual HTTP
// carrier would write "Traceparent".
type Headers map[string][]string

// Get returns the first value of key, or nothing.
func (h Headers) Get(key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set replaces the values of key.
func (h Headers) Set(key, value string) { h[key] = []string{value} }

// Keys lists the names, sorted.
func (h Headers) Keys() []string { return slices.Sorted(maps.Keys(h)) }

// Inject writes the trace of ctx into h, which must not be nil. Without a
// trace it writes nothing.
func (t *Tracing) Inject(ctx context.Context, h Headers) {
	t.propagator.Inject(ctx, h)
}

// Extract returns ctx with the trace that h carries, if it carries one.
func (t *Tracing) Extract(ctx context.Context, h Headers) context.Context {
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
