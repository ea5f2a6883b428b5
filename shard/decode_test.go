package shard_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/shard"
	"wadm/shard/ring"
)

// The stored forms are read by instances of other versions: they must not change.
func TestStoredFormsAreAsRecorded(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]func() ([]byte, error){
		"claim": shard.Record{
			Owner: "wadm-0", Incarnation: "5f", State: shard.Held, View: 12, Settle: 2300, Forget: true, Reason: "take-over",
		}.Encode,
		"member": shard.Member{
			ID: "wadm-0", Incarnation: "5f", Started: time.Date(2025, 11, 2, 3, 4, 5, 0, time.UTC), Version: "1.0.0",
			Schema: 1, Fingerprint: "f", Units: 4, State: shard.MemberActive, Held: 17,
		}.Encode,
		"beat": shard.Beat{
			ID: "wadm-0", Incarnation: "5f", View: 12, Digest: 1<<64 - 1, Unhealthy: true, Draining: true, Held: 17,
			Silent: []shard.Suspect{{ID: "wadm-1", Incarnation: "60"}},
		}.Encode,
		"view": shard.View{
			Rev: 99, Schema: 1, Params: ring.DefaultParams(), Fingerprint: "f", Cause: "joined wadm-1", Proposer: "wadm-0",
			Members: []shard.ViewMember{
				{ID: "wadm-0", Incarnation: "5f", Units: 4, State: shard.MemberActive},
				{ID: "wadm-1", Incarnation: "60", Units: 0, State: shard.MemberDraining},
			},
			Overrides: map[shard.Key]shard.MemberID{"t.l": "wadm-1"},
		}.Encode,
		"ramp": shard.View{
			Rev: 99, Schema: 1, Params: ring.DefaultParams(), Fingerprint: "f", Cause: "joined wadm-1", Proposer: "wadm-0",
			Members: []shard.ViewMember{
				{ID: "wadm-0", Incarnation: "5f", Units: 4, State: shard.MemberActive},
				{ID: "wadm-1", Incarnation: "60", Units: 4, State: shard.MemberActive},
			},
			Ramp: &shard.Ramp{From: []shard.Weight{{ID: "wadm-0", Units: 4}}, Step: 1, Of: 4},
		}.Encode,
		"ended": shard.View{
			Rev: 99, Schema: 1, Params: ring.DefaultParams(), Fingerprint: "f", Cause: "restarted wadm-0", Proposer: "wadm-1",
			Members: []shard.ViewMember{{ID: "wadm-0", Incarnation: "61", Units: 4, State: shard.MemberActive}},
			Ended:   []shard.Ended{{Incarnation: "5f", Silent: 412}},
		}.Encode,
	} {
		got, err := encode()
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestUnknownFieldsOfNewerVersionsAreIgnored(t *testing.T) {
	t.Parallel()
	r, err := shard.DecodeRecord([]byte(`{"owner":"a","incarnation":"1","state":"held","conn":{"id":1}}`))
	if err != nil || r.Owner != "a" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestKeysThatCouldEscapeTheirPlaceAreRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", ".", "a", "a.", ".b", "a.b.c", "a.*", "*.b", "a.>", "a. b", "a.b\n", "a._b", "é.b", strings.Repeat("a", 300) + ".b"} {
		if _, err := shard.ParseKey(s); !errors.Is(err, shard.ErrBadKey) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if k, err := shard.ParseKey("_a.b-C_9"); err != nil || k != "_a.b-C_9" {
		t.Errorf("%q, %v", k, err)
	}
}

// What decodes must encode to what decodes to the same.
func fuzz[T interface{ Encode() ([]byte, error) }](f *testing.F, decode func([]byte) (T, error), names ...string) {
	for _, name := range names {
		seed, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(strings.TrimSpace(string(seed))))
	}
	for _, s := range []string{``, `{}`, `null`, `[]`, `{"members":[{"id":"a"},{"id":"a"}]}`, `{"settle_ms":-1}`, `{"units":1e9}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decode(b)
		if err != nil {
			if !errors.Is(err, shard.ErrBadRecord) {
				t.Fatalf("error without its sentinel: %v", err)
			}
			return
		}
		again, err := x.Encode()
		if err != nil {
			t.Fatalf("decoded, cannot be encoded: %v", err)
		}
		y, err := decode(again)
		if err != nil {
			t.Fatalf("encoded, cannot be decoded: %v", err)
		}
		if d := cmp.Diff(x, y); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) { fuzz(f, shard.DecodeRecord, "claim") }
func FuzzDecodeMember(f *testing.F) { fuzz(f, shard.DecodeMember, "member") }
func FuzzDecodeBeat(f *testing.F)   { fuzz(f, shard.DecodeBeat, "beat") }
func FuzzDecodeView(f *testing.F)   { fuzz(f, shard.DecodeView, "view", "ramp", "ended") }

func FuzzParseKey(f *testing.F) {
	f.Add("default.default")
	f.Add("a.b.c")
	f.Add("a._b")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := shard.ParseKey(s)
		if err == nil && (string(k) != s || strings.Count(s, ".") != 1 || strings.ContainsAny(s, "*> \t\r\n")) {
			t.Fatalf("%q became %q", s, k)
		}
	})
}
