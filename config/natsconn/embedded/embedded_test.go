package embedded_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/embedded"
)

func TestStartAgainFromItsConfigFindsPortAndStore(t *testing.T) {
	t.Parallel()
	first, err := embedded.Start(embedded.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()
	first.Stop() // harmless
	second, err := embedded.Start(first.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()
	if first.URL() != second.URL() {
		t.Errorf("got %s after %s", second.URL(), first.URL())
	}
	nc, err := nats.Connect(second.URL())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestMistakesAreErrorsNotExits(t *testing.T) {
	t.Parallel()
	busy, err := embedded.Start(embedded.Config{NoJetStream: true})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Stop()
	for name, cfg := range map[string]embedded.Config{
		"no store":     {},
		"bad port":     {NoJetStream: true, Port: 70000},
		"no such file": {NoJetStream: true, ConfigFile: "/does/not/exist"},
		"bad payload":  {NoJetStream: true, MaxPayload: -1},
		"port in use":  busy.Config(),
	} {
		if s, err := embedded.Start(cfg); err == nil {
			s.Stop()
			t.Errorf("%s: started", name)
		}
	}
}

func TestServerLogsThroughSlog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := embedded.Start(embedded.Config{StoreDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if !strings.Contains(log.String(), "Server is ready") {
		t.Errorf("log is %q", log.String())
	}
}
