package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// TestExplanationsReadAsRecorded pins the text form.
func TestExplanationsReadAsRecorded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	next := now.Add(4200 * time.Millisecond)
	failed := tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: "no such image"}
	var b strings.Builder
	for _, x := range []explanation{
		{Owner: "wadm-1", Explanation: core.Explanation{
			App: "shop", Deployed: true, Gathered: true, Version: "v2", Status: failed, Condition: &core.Condition{Type: failed.Type, Reason: core.ReasonCommandFailed, Since: now.Add(-time.Minute)}, Notes: []string{`Trait "cron" of component "web" is not supported and ignored`},
			Scalers: []core.ScalerExplanation{
				{Kind: "SpreadScaler", Name: "shop-web", Status: failed, Image: "web:1", Wanted: 12, Have: 8, NextRetry: &next,
					Spreads: []core.SpreadExplanation{
						{Name: "east", Requirements: map[string]string{"zone": "e", "disk": "ssd"}, Wanted: 9, Have: 8, Eligible: 2, More: 9, MoreHosts: 1, Hosts: []core.Placement{
							{Host: "ND", Name: "d-1", Wanted: 4, Have: 3, State: core.PlaceChanging, Why: core.PlacedKept, Image: "web:1"},
							{Host: "NE", Wanted: 5, Have: 5, State: core.PlaceUpdating, Why: core.PlacedAdopted, Image: "web:0"}}, Excluded: []core.Exclusion{
							{Host: "NA", Name: "a-\x1b[31m1", Reason: core.ExcludedBackoff, Detail: "no such image"}, {Host: "NB", Reason: core.ExcludedSilent}, {Host: "NC", Reason: core.ExcludedLabelMismatch, Detail: "zone=e"}}},
						{Name: "west", Wanted: 3, Hint: "start a host"},
					},
					InFlight: []core.CommandExplanation{{Kind: lattice.ScaleComponent, Host: "ND", Name: "d-1", Reason: "spread east wants 4 here, 3 run", Age: 2.14}}},
				{Kind: "LinkScaler", Name: "shop-web -(wasi:keyvalue)-> shop-kv", Status: tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: "Waiting for configuration shop-addr"},
					Wanted: 1, Waiting: "Waiting for configuration shop-addr"},
			},
		}},
		{Owner: "wadm-2", Explanation: core.Explanation{App: "old", Gathered: true, Status: tenancy.StatusInfo{Type: tenancy.StatusReconciling}, Left: []string{"old-web on host NA", "configuration old-\x1b[31mcfg"}}},
		{Owner: "wadm-2", Explanation: core.Explanation{App: "gone", Gathered: true, Status: tenancy.StatusInfo{Type: tenancy.StatusUndeployed}}},
		{Explanation: core.Explanation{App: "new", Deployed: true, Status: tenancy.StatusInfo{Type: tenancy.StatusReconciling}}},
	} {
		writeExplanation(&b, x, now)
		b.WriteString("\n")
	}
	golden(t, filepath.Join("testdata", "explain.txt"), b.String())
}

// TestExplainTellsWhy asks a real server.
func TestExplainTellsWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file("lost.yaml", manifestOf("lost", "v1", 1, "moon"))
	if r := w.run("app", "explain", "lost"); r.code != exitNotFound || !strings.Contains(r.stderr, "not found") {
		t.Errorf("before the put: %+v", r)
	}
	if r := w.run("app", "put", filepath.Join(w.dir, "lost.yaml")); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := w.run("-q", "app", "deploy", "lost", "--wait", "--fail-fast"); r.code != exitAppFailed {
		t.Fatalf("%+v", r)
	}
	r := w.run("app", "explain", "lost")
	for _, part := range []string{"lost v1 - Failed (too few hosts for ", "0 of 1", "zone=moon", "not used: label mismatch: zone=moon", "hint: label host "} {
		if r.code != 0 || !strings.Contains(r.stdout, part) {
			t.Errorf("%q is not in %+v", part, r)
		}
	}
	r = w.run("-o", "json", "app", "explain", "lost")
	var doc struct {
		APIVersion, Name string
		Success          bool
		Explanation      explanation
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.code != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	if doc.APIVersion != apiVersion || !doc.Success || doc.Name != "lost" || doc.Explanation.App != "lost" || len(doc.Explanation.Scalers) != 1 || doc.Explanation.Owner == "" {
		t.Errorf("%+v", doc)
	}
}
