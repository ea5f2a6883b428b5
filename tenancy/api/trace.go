package api

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

// carrier reads and writes trace headers by their exact lower-case names;
// nats.Header keeps the case, unlike HTTP.
type carrier nats.Header

func (c carrier) Get(key string) string {
	if v := c[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c carrier) Set(key, value string) { c[key] = []string{value} }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// maxTraceState bounds, in bytes, the caller's tracestate that is carried on.
const maxTraceState = 512

// extract takes the caller's trace context, and nothing else, from a header.
func extract(ctx context.Context, h nats.Header) context.Context {
	c := carrier{}
	if v := h["traceparent"]; len(v) > 0 {
		c.Set("traceparent", v[0])
	}
	if v := h["tracestate"]; len(v) > 0 && len(v[0]) <= maxTraceState {
		c.Set("tracestate", v[0])
	}
	return propagation.TraceContext{}.Extract(ctx, c)
}

// inject gives the header that carries the trace context on, nil without one.
func inject(ctx context.Context) nats.Header {
	c := carrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	if len(c) == 0 {
		return nil
	}
	return nats.Header(c)
}
