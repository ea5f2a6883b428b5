package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/conform"
	"wadm/loadtest/process"
)

func TestPlansAndCasesArePrintedWithoutAServer(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"churn --plan --seed 3 --duration 5s": "churn0 ",
		"conform --list":                      "put / version twice: ",
		"--help":                              "conform",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &errs); code != exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d, output %.200q %q", args, code, out.String(), errs.String())
		}
	}
}

func TestMistakesEndWithTheirOwnCode(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"churn", "--hosts", "1"}, {"churn", "--nonsense"}, {"bench", "-o", "xml"}, {"conform", "--run", " "}, {"conform", "--run", "/nowhere/wadm {nats}"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitBroken || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, errs.String())
		}
	}
}

// TestServersAreStartedAndReported: what --run starts is found, checked and
// reported; a case that fails is told by the exit code.
func TestServersAreStartedAndReported(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a server")
	}
	t.Parallel()
	path, err := process.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"conform", "--only", "subjects", "-o", "json", "--run", path + " -s {nats}"}, &out, &errs)
	var r conform.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || code != exitOK || r.Server != "wadm" || r.Count(conform.Pass) != len(r.Results) || len(r.Results) < 5 {
		t.Errorf("exit code %d, %v: %s %s", code, err, out.String(), errs.String())
	}
	out.Reset()
	ns := natstest.Start(t, natstest.WithoutJetStream())
	if code := run(t.Context(), []string{"conform", "--only", "unsupported", "-s", ns.URL()}, &out, &errs); code != exitBroken || !strings.Contains(errs.String(), "no server answers") {
		t.Errorf("exit code %d: %s %s", code, out.String(), errs.String())
	}
}
