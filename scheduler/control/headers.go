package control

import (
	"context"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

// The headers of a request. The names of the trace headers are lower case on
// the wire, and hosts look for exactly that.
const (
	headerEpoch       = "Wadm-Epoch"
	headerInstance    = "Wadm-Instance"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

// headers builds the headers of a request: who asks, under which claim (0: none),
// and the trace of ctx or else the given one.
func (c *Client) headers(ctx context.Context, epoch uint64, traceParent string) nats.Header {
	h := make(nats.Header, 4)
	if epoch != 0 {
		h.Set(headerEpoch, strconv.FormatUint(epoch, 10))
	}
	if c.cfg.Instance != "" {
		h.Set(headerInstance, c.cfg.Instance)
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		flags := "-00"
		if sc.IsSampled() {
			flags = "-01"
		}
		h.Set(headerTraceParent, "00-"+sc.TraceID().String()+"-"+sc.SpanID().String()+flags)
		if ts := sc.TraceState().String(); ts != "" {
			h.Set(headerTraceState, ts)
		}
	} else if isTraceParent(traceParent) {
		h.Set(headerTraceParent, traceParent)
	}
	return h
}

// isTraceParent checks the W3C form, version 00: a bad one would cut the host's
// spans off, and one with a line end would be another header.
func isTraceParent(s string) bool {
	parts := strings.Split(s, "-")
	return len(parts) == 4 && parts[0] == "00" &&
		isHex(parts[1], 32) && isHex(parts[2], 16) && isHex(parts[3], 2) &&
		strings.Trim(parts[1], "0") != "" && strings.Trim(parts[2], "0") != ""
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
