package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
)

// TestAnInstanceThatIsAskedToDrainEndsInOrder: as after SIGTERM, and nobody else is
// asked.
func TestAnInstanceThatIsAskedToDrainEndsInOrder(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc := ns.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	type ended struct {
		code int
		log  string
	}
	start := func(id string) <-chan ended {
		done := make(chan ended, 1)
		go func() {
			var log bytes.Buffer
			code := Run(ctx, []string{"-s", ns.URL(), "--instance-id", id, "--http-admin", "127.0.0.1:0"}, nil, &log, &log)
			done <- ended{code, log.String()}
		}()
		return done
	}
	one, two := start("one"), start("two")
	for _, id := range []string{"two", "one"} {
		for {
			r, err := natskv.RequestDrain(ctx, nc, "nobody")
			if !errors.Is(err, natskv.ErrNoInstance) {
				t.Fatalf("somebody drained nobody: %+v, %v", r, err)
			}
			if _, err := natskv.RequestDrain(ctx, nc, shard.MemberID(id)); err == nil {
				break
			} else if !errors.Is(err, natskv.ErrNoInstance) {
				t.Fatal(err)
			}
			select {
			case <-time.After(10 * time.Millisecond): // it is starting
			case <-ctx.Done():
				t.Fatal("instance never answered")
			}
		}
		done := map[string]<-chan ended{"one": one, "two": two}[id]
		select {
		case e := <-done:
			if e.code != exitOK || !strings.Contains(e.log, errDrained.Error()) || !strings.Contains(e.log, "wadm has stopped") {
				t.Errorf("%s ended with %d:\n%s", id, e.code, e.log)
			}
		case <-ctx.Done():
			t.Fatalf("%s did not end", id)
		}
	}
}
