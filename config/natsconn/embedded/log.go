package embedded

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// slogAdapter hands the server's lines to slog. The server's notices are its
// start-up banner and are of interest only to someone who debugs.
type slogAdapter struct {
	log *slog.Logger
	// fatal gets the first line that ends the server's start: the only way
	// to learn why it never becomes ready.
	fatal chan<- string
}

var _ server.Logger = slogAdapter{}

func (a slogAdapter) write(level slog.Level, format string, v []any) {
	if ctx := context.Background(); a.log.Enabled(ctx, level) {
		a.log.Log(ctx, level, fmt.Sprintf(format, v...))
	}
}

func (a slogAdapter) Noticef(format string, v ...any) { a.write(slog.LevelDebug, format, v) }
func (a slogAdapter) Warnf(format string, v ...any)   { a.write(slog.LevelWarn, format, v) }
func (a slogAdapter) Errorf(format string, v ...any)  { a.write(slog.LevelError, format, v) }
func (a slogAdapter) Debugf(format string, v ...any)  { a.write(slog.LevelDebug, format, v) }
func (a slogAdapter) Tracef(format string, v ...any)  { a.write(slog.LevelDebug, format, v) }

func (a slogAdapter) Fatalf(format string, v ...any) {
	a.write(slog.LevelError, format, v)
	select {
	case a.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
