package natsconn

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Between two tries of [Insist].
const (
	insistFirst = 250 * time.Millisecond
	insistMost  = 2 * time.Second
)

const (
	// codeStreamOffline: no server that keeps the stream is up.
	codeStreamOffline jetstream.ErrorCode = 10118
	// codeNoPeers: too few servers can keep the stream, and why each of the others
	// cannot; peerOffline is the reason that goes away.
	codeNoPeers jetstream.ErrorCode = 10005
	peerOffline                     = "peer offline"
)

// Passes tells whether an error of NATS is of the kind that goes away: nobody
// answered, the connection is being made again, or the answer was that it is not
// possible now. What was asked may have happened.
//
// A request that is not permitted is not answered either: see [Denied].
func Passes(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code == http.StatusServiceUnavailable || api.Code == http.StatusTooManyRequests || api.ErrorCode == codeStreamOffline ||
			api.ErrorCode == codeNoPeers && strings.Contains(api.Description, peerOffline)
	}
	for _, passing := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse,
		nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrStaleConnection, nats.ErrReconnectBufExceeded,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// Denied returns the connection's last error when it says that a subject with
// this ending is not permitted, and nil otherwise. The server tells that beside
// the request, which is never answered and fails with an error that passes.
func Denied(nc *nats.Conn, ending string) error {
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), ending+`"`) {
		return err
	}
	return nil
}

// Insist calls try until it succeeds or fails with an error that does not pass,
// or until the next try would come later than limit after the first; it returns
// try's last error. With a limit of 0 it goes on until ctx ends, and returns its
// cause then.
func Insist(ctx context.Context, limit time.Duration, log *slog.Logger, try func(context.Context) error) error {
	began, said := time.Now(), ""
	for most := insistFirst; ; most = min(2*most, insistMost) {
		err := try(ctx)
		// Spread: every instance lost the same server at the same time.
		wait := most/2 + rand.N(most/2)
		if err == nil || !Passes(err) || limit > 0 && time.Since(began)+wait > limit {
			return err
		}
		// Once per reason, not once per try.
		if why := err.Error(); ctx.Err() == nil && why != said {
			said = why
			log.Warn("NATS does not answer yet, trying on", "error", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}
