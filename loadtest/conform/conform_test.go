package conform_test

import (
	"bytes"
	"log/slog"
	"testing"

	"wadm/config/natsconn"
	"wadm/config/natsconn/natstest"
	"wadm/loadtest/conform"
	"wadm/loadtest/process"
)

// TestTheServerConforms runs every case against the server of this module.
func TestTheServerConforms(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	ns := natstest.Start(t)
	path, err := process.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	server, err := process.Start(process.Command{Path: path, Args: []string{"-s", ns.URL(), "--command-deadline", "5s"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: ns.URL()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := conform.Answering(t.Context(), nc.Conn); err != nil {
		t.Fatalf("%v\n%s", err, server.Output())
	}
	report, err := conform.Run(t.Context(), nc.Conn, conform.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(report.Results); n != len(conform.Cases()) || report.Count(conform.Pass) != n {
		var b bytes.Buffer
		report.WriteText(&b)
		t.Error(b.String())
	}
}

// TestNothingPassesWithoutAServer: no case is true of nobody.
func TestNothingPassesWithoutAServer(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	report, err := conform.Run(t.Context(), ns.Connect(t), conform.Config{Patience: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Outcome == conform.Pass {
			t.Errorf("%s / %s passes without a server", r.Group, r.Name)
		}
	}
}

// TestCasesAreNamedApart: a case can be chosen and reported by its name.
func TestCasesAreNamedApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range conform.Cases() {
		switch key := c.Group + " / " + c.Name; {
		case seen[key]:
			t.Errorf("two cases are named %s", key)
		case c.Name == "" || c.Guarantee == "":
			t.Errorf("%s has no name or no guarantee", key)
		default:
			seen[key] = true
		}
	}
}
