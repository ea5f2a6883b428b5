package natsconn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
)

func TestOnlyWhatGoesAwayPasses(t *testing.T) {
	t.Parallel()
	api := func(code int, errorCode jetstream.ErrorCode) error {
		return &jetstream.APIError{Code: code, ErrorCode: errorCode}
	}
	for _, c := range []struct {
		err    error
		passes bool
	}{
		{context.DeadlineExceeded, true},
		{nats.ErrTimeout, true},
		{nats.ErrNoResponders, true},
		{nats.ErrDisconnected, true},
		{nats.ErrConnectionReconnecting, true},
		{jetstream.ErrNoStreamResponse, true},
		{api(503, 10008), true}, // no leader
		{api(500, 10118), true}, // stream offline
		{api(429, 10167), true}, // too many requests
		{&jetstream.APIError{Code: 400, ErrorCode: 10005, Description: "no suitable peers for placement, peer offline"}, true},
		{&jetstream.APIError{Code: 400, ErrorCode: 10005, Description: "no suitable peers for placement, tags not matched"}, false},
		{context.Canceled, false},
		{nats.ErrConnectionClosed, false},
		{nats.ErrPermissionViolation, false},
		{nats.ErrAuthorization, false},
		{api(500, 10074), false}, // more replicas than servers
		{api(400, 10065), false}, // subjects overlap
		{errors.New("anything else"), false},
	} {
		if got := natsconn.Passes(fmt.Errorf("open: %w", c.err)); got != c.passes {
			t.Errorf("Passes(%v) is %v", c.err, got)
		}
	}
}

func TestInsistTriesUntilTheLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{time.Millisecond, time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			began, tries := time.Now(), 0
			err := natsconn.Insist(t.Context(), limit, slog.New(slog.DiscardHandler), func(context.Context) error {
				tries++
				return nats.ErrNoResponders
			})
			took := time.Since(began)
			if !errors.Is(err, nats.ErrNoResponders) || took > limit || took < limit-2*time.Second || tries < int(limit/(2*time.Second)) {
				t.Errorf("limit %v: %v after %v and %d tries", limit, err, took, tries)
			}
		})
	}
}

func TestInsistEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, bad, stop := slog.New(slog.DiscardHandler), errors.New("bad"), errors.New("stop")
		began, tries := time.Now(), 0
		try := func(last error) func(context.Context) error {
			return func(context.Context) error {
				if tries++; time.Since(began) < time.Hour {
					return nats.ErrTimeout
				}
				return last
			}
		}
		if err := natsconn.Insist(t.Context(), 0, log, try(nil)); err != nil {
			t.Errorf("success: %v", err)
		}
		if tries < 1800 || tries > 4000 {
			t.Errorf("%d tries in an hour", tries)
		}
		began = time.Now()
		if err := natsconn.Insist(t.Context(), 0, log, try(bad)); !errors.Is(err, bad) {
			t.Errorf("what does not pass: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(stop) })
		began = time.Now()
		if err := natsconn.Insist(ctx, 0, log, try(nil)); !errors.Is(err, stop) || time.Since(began) != time.Minute {
			t.Errorf("end of the context: %v after %v", err, time.Since(began))
		}
	})
}
