package natsconn_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/config/natsconn/natstest"
)

// TestAStreamIsKeptFromWhenItIsThere: one that is yet to be made is nothing to warn
// of, as when several instances start at once; one that disappears is, and is made again.
func TestAStreamIsKeptFromWhenItIsThere(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
		js, err := jetstream.New(s.Connect(t))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var log bytes.Buffer
		var kept sync.WaitGroup
		kept.Go(func() {
			if err := natsconn.KeepStreams(ctx, js, slog.New(slog.NewTextHandler(&log, nil)), natsconn.Kept{Name: "late"}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("warns before there is a stream: %s", log.String())
		}
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "late", Storage: jetstream.MemoryStorage}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := js.DeleteStream(ctx, "late"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := js.Stream(ctx, "late"); err != nil {
			t.Errorf("a minute after it was deleted: %v", err)
		}
		stop()
		kept.Wait()
		if !strings.Contains(log.String(), "stream has disappeared") {
			t.Errorf("does not warn of the loss: %s", log.String())
		}
	})
}
