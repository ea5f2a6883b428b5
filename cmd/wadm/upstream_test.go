package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
)

// TestStartsWhereUpstreamHasRun: the streams and buckets that wadm 0.21 leaves
// behind are in nobody's way, and none of them is deleted.
func TestStartsWhereUpstreamHasRun(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	js := ns.JetStream(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	age := 70 * time.Second
	source := func(stream, from string) *jetstream.StreamSource {
		return &jetstream.StreamSource{Name: stream, SubjectTransforms: []jetstream.SubjectTransformConfig{
			{Source: from, Destination: "wadm_event_consumer.evt.{{wildcard(1)}}.>"}}}
	}
	left := []jetstream.StreamConfig{
		{Name: "wadm_events", Subjects: []string{"wadm.evt.*.>"}, MaxAge: age},
		{Name: "wadm_commands", Subjects: []string{"wadm.cmd.*"}, Retention: jetstream.WorkQueuePolicy, MaxAge: age},
		{Name: "wadm_status", Subjects: []string{"wadm.status.*.*"}, MaxMsgsPerSubject: 10, AllowDirect: true},
		{Name: "wasmbus_events", Subjects: []string{"wasmbus.evt.*.>"}, MaxAge: age},
		{Name: "wadm_notify", Subjects: []string{"wadm.notify.*"}, Retention: jetstream.InterestPolicy, MaxAge: age},
		{Name: "wadm_event_consumer", Retention: jetstream.WorkQueuePolicy, MaxAge: age, Sources: []*jetstream.StreamSource{
			source("wasmbus_events", "wasmbus.evt.*.>"), source("wadm_events", "wadm.evt.*.>")}},
	}
	for _, c := range left {
		if _, err := js.CreateStream(ctx, c); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
	for _, bucket := range []string{"wadm_state", "wadm_manifests"} {
		if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket}); err != nil {
			t.Fatal(err)
		}
	}
	start(t, ns.URL(), slog.New(slog.DiscardHandler))
	for _, c := range left {
		if _, err := js.Stream(ctx, c.Name); err != nil {
			t.Errorf("%s is gone: %v", c.Name, err)
		}
	}
	// And back again: what 0.21 creates at its start must still be possible.
	if err := js.DeleteStream(ctx, "wadm_commands"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, left[1]); err != nil {
		t.Errorf("its command stream can't be created beside ours: %v", err)
	}
}
