package api_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/api"
	"wadm/tenancy/catalog"
)

// served is a running server and a client's connection to it.
type served struct {
	nats *natstest.Server
	js   jetstream.JetStream
	cat  *catalog.Catalog
	nc   *nats.Conn
}

// serve runs one more server on n.
func serve(t *testing.T, n *natstest.Server, deps api.Deps, cfg api.Config) *served {
	t.Helper()
	nc := n.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.New(t.Context(), js, catalog.Config{Logger: deps.Logger})
	if err != nil {
		t.Fatal(err)
	}
	if deps.JetStream == nil {
		deps.JetStream = js
	}
	s, err := api.New(nc, cat, deps, cfg)
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, cat.Run)
	runUntilEnd(t, s.Run)
	select {
	case <-s.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("not ready within 20 s")
	}
	return &served{nats: n, js: js, cat: cat, nc: n.Connect(t)}
}

func runUntilEnd(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// ask sends a request and returns the raw reply.
func (s *served) ask(t *testing.T, subject, body string) string {
	t.Helper()
	return string(s.request(t, &nats.Msg{Subject: subject, Data: []byte(body)}).Data)
}

func (s *served) request(t *testing.T, m *nats.Msg) *nats.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reply, err := s.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		t.Fatalf("request %s: %v", m.Subject, err)
	}
	return reply
}

// want compares a reply byte for byte.
func (s *served) want(t *testing.T, subject, body, reply string) {
	t.Helper()
	if got := s.ask(t, subject, body); got != reply {
		t.Errorf("%s %s\n got %s\nwant %s", subject, body, got, reply)
	}
}

func manifestOf(name, version string) string {
	annotations := map[string]string{}
	if version != "" {
		annotations["version"] = version
	}
	b, err := json.Marshal(map[string]any{
		"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
		"metadata": map[string]any{"name": name, "annotations": annotations},
		"spec": map[string]any{"components": []any{map[string]any{
			"name": "c", "type": "component", "properties": map[string]any{"image": "registry.example.com/c:1"},
		}}},
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}
