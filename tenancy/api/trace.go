package api

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"wadm/telemetry"
)

// maxTraceState bounds, in bytes, the caller's tracestate that is carried on.
const maxTraceState = 512

// extract takes the caller's trace context, and nothing else, from a header.
func extract(ctx context.Context, h nats.Header) context.Context {
	c := telemetry.Headers{}
	if v := telemetry.Headers(h).Get("traceparent"); v != "" {
		c.Set("traceparent", v)
	}
	if v := telemetry.Headers(h).Get("tracestate"); v != "" && len(v) <= maxTraceState {
		c.Set("tracestate", v)
	}
	return propagation.TraceContext{}.Extract(ctx, c)
}

// inject gives the header that carries the trace context on, nil without one.
func inject(ctx context.Context) nats.Header {
	c := telemetry.Headers{}
	propagation.TraceContext{}.Inject(ctx, c)
	if len(c) == 0 {
		return nil
	}
	return nats.Header(c)
}

// startSpan begins the span of a request.
func (s *Server) startSpan(ctx context.Context, r *request) (context.Context, trace.Span) {
	return s.tracer.Start(extract(ctx, r.msg.Header), telemetry.SpanAPI("model."+r.op.word()), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(telemetry.AttrTenant.String(clip(r.tenant)), telemetry.AttrLattice.String(clip(r.lattice)),
			telemetry.AttrApplication.String(clip(r.app)), telemetry.AttrOperation.String(string(r.op))))
}
