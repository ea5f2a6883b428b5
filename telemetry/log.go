package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// LogConfig says what is logged and how.
type LogConfig struct {
	// Level is debug, info, warn or error; empty means info.
	Level string
	// JSON writes objects instead of text.
	JSON bool
}

// NewLogger returns a logger that writes to w. A line logged with a context
// that carries a span also carries its trace id.
func NewLogger(w io.Writer, cfg LogConfig) (*slog.Logger, error) {
	var level slog.Level
	if cfg.Level != "" {
		if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
			return nil, fmt.Errorf("read log level: %w", err)
		}
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.JSON {
		opts.ReplaceAttr = withUnits
		return slog.New(traced{slog.NewJSONHandler(w, opts)}), nil
	}
	return slog.New(traced{slog.NewTextHandler(w, opts)}), nil
}

// withUnits writes a duration as the text form does, and not as a number without a
// unit.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// traced adds the trace id of the context.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		r.AddAttrs(slog.String(LogTraceID, sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }
func (h traced) WithGroup(name string) slog.Handler       { return traced{h.Handler.WithGroup(name)} }
