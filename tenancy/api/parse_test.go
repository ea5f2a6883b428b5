package api_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"wadm/tenancy/api"
)

func TestSubjectsAreReadLikeTheRecordedServerDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subject                  string
		multi                    bool
		tenant, lattice, op, app string
		err                      string
	}{
		{subject: "wadm.api.default.model.put", tenant: "default", lattice: "default", op: "put"},
		{subject: "wadm.api.default.model.get", tenant: "default", lattice: "default", op: "list"},
		{subject: "wadm.api.default.model.list", tenant: "default", lattice: "default", op: "list-bare"},
		{subject: "wadm.api.x.model.get.shop", tenant: "default", lattice: "x", op: "get", app: "shop"},
		{subject: "acme.wadm.api.x.model.del.shop", multi: true, tenant: "acme", lattice: "x", op: "del", app: "shop"},
		{subject: "wadm.api.wadm.model.get", tenant: "default", lattice: "wadm", op: "list"},
		{subject: "wadm.api.default", err: "Invalid subject: Expected to find API category"},
		{subject: "wadm.api.default.model", err: "Invalid subject: Expected to find operation"},
		{subject: "wadm.api", err: "Invalid subject: Expected to find lattice ID"},
		{subject: "wadm.api.default.model.get.a.b", err: "Invalid subject: Found extra components of subject, ensure your manifest name consists of only alphanumeric characters, dashes, and underscores."},
		{subject: "wadm.api.default.model.put.a", err: "Unsupported subject: wadm.api.default.model.put.a"},
		{subject: "wadm.api.default.model.del", err: "Unsupported subject: wadm.api.default.model.del"},
		{subject: "acme.wadm.api.default.blah.get", multi: true, err: "Unsupported subject: acme.wadm.api.default.blah.get"},
		{subject: "nodot", multi: true, err: "Invalid subject: Expected to find account ID in multitenant subject"},
	} {
		tenant, lattice, op, app, err := api.ParseSubject(c.subject, "wadm.api", c.multi)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v, want %s", c.subject, err, c.err)
			}
			continue
		}
		if err != nil || tenant != c.tenant || lattice != c.lattice || op != c.op || app != c.app {
			t.Errorf("%s: %s %s %s %s %v", c.subject, tenant, lattice, op, app, err)
		}
	}
}

// TestInboxesAreRecognised: everything else could be a command of somebody.
func TestInboxesAreRecognised(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]bool{
		"_INBOX.x": true, "_INBOX_two.x": true, "_R_.x.y": true, "acme.inbox.x": true, "own.x": true,
		"": false, "x": false, ".x": false, "acme.inbox": false, "acme.inboxes.x": false, "acme.x": false, "x._INBOX.y": false,
		"wasmbus.ctl.v1.default.host.stop.NX": false, "wadm.api.default.model.del.shop": false, "$JS.API.STREAM.DELETE.x": false,
	} {
		if got := api.IsInbox(reply, "acme.inbox", "own", ""); got != want {
			t.Errorf("%q: %v", reply, got)
		}
	}
}

func FuzzSubject(f *testing.F) {
	for _, r := range recording(f) {
		f.Add(r.Subject, false)
		f.Add("acme."+r.Subject, true)
	}
	f.Fuzz(func(t *testing.T, subject string, multi bool) {
		tenant, lattice, _, app, err := api.ParseSubject(subject, "wadm.api", multi)
		if err != nil {
			return
		}
		for _, token := range []string{lattice, app} {
			if strings.Contains(token, ".") {
				t.Errorf("%q: token %q has a dot", subject, token)
			}
		}
		if multi != strings.HasPrefix(subject, tenant+".") && multi {
			t.Errorf("%q: tenant %q", subject, tenant)
		}
	})
}

func TestBodiesAreRefusedInTheKnownWords(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{`:                               `Error("EOF while parsing an object", line: 1, column: 1)`,
		`[]`:                              `Error("invalid length 0, expected struct GetModelRequest with 1 element", line: 1, column: 2)`,
		`null`:                            `Error("invalid type: null, expected struct GetModelRequest", line: 1, column: 4)`,
		`{"version":1}`:                   "Error(\"invalid type: integer `1`, expected a string\", line: 1, column: 12)",
		`{"version":"a","version":"b"}`:   "Error(\"duplicate field `version`\", line: 1, column: 25)",
		"{\n}x":                           `Error("trailing characters", line: 2, column: 2)`,
		`x`:                               `Error("expected value", line: 1, column: 1)`,
		` `:                               `Error("EOF while parsing a value", line: 1, column: 1)`,
		`"v1"`:                            `Error("invalid type: string \"v1\", expected struct GetModelRequest", line: 1, column: 4)`,
		`{"a":` + strings.Repeat("[", 70): `Error("recursion limit exceeded", line: 1, column: 69)`,
	} {
		if _, err := api.DecodeVersion([]byte(body), "GetModelRequest"); err == nil || err.Error() != want {
			t.Errorf("%.30s:\n got %v\nwant %s", body, err, want)
		}
	}
	for body, want := range map[string]string{
		``: "none", `{}`: "none", `{"version":null}`: "none", `{"version":""}`: "", ` {"x":[1,{"y":-2.5e3}],"version" : "v1" } `: "v1",
		`{"Version":"v1"}`: "none", `{"version":"\u0041\n"}`: "A\n",
	} {
		got, err := api.DecodeVersion([]byte(body), "GetModelRequest")
		if err != nil || (got == nil) != (want == "none") || got != nil && *got != want {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
}

// TestReadingABodyCopiesNoMoreThanItHolds: a copy of the rest at every value made
// 240 KB of them take 15 seconds. Not parallel: it counts what is allocated.
func TestReadingABodyCopiesNoMoreThanItHolds(t *testing.T) {
	body := []byte(`{"x":[` + strings.Repeat("null,true,false,", 4000) + `0]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := api.DecodeVersion(body, "GetModelRequest"); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 100*uint64(len(body)) {
		t.Errorf("%d bytes were allocated for a body of %d", took, len(body))
	}
}

func FuzzBody(f *testing.F) {
	for _, r := range recording(f) {
		if !strings.Contains(r.Subject, ".put") {
			f.Add([]byte(r.Request))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		version, err := api.DecodeVersion(body, "X")
		if nothing := api.DecodeNothing(body, "X"); nothing == nil && len(body) > 0 {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(body, &m); err != nil || m == nil {
				t.Errorf("%q is taken for an object: %v", body, err)
			}
		} else if nothing != nil && err == nil {
			t.Errorf("%q: refused when nothing of it is used: %v", body, nothing)
		}
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Errorf("%q: the text of the error is not UTF-8", body)
			}
			return
		}
		if len(body) == 0 {
			return
		}
		// Whatever is accepted is JSON and says the same to the standard decoder.
		var m map[string]json.RawMessage
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		var want *string
		if raw, has := m["version"]; has {
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
		}
		if (want == nil) != (version == nil) || want != nil && *want != *version {
			t.Errorf("%q: %v, want %v", body, version, want)
		}
	})
}

func TestRepliesEscapeOnlyWhatMustBe(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<&>\u2028\u2029\u007f": "\"<&>\u2028\u2029\u007f\"", `\u2028`: `"\\u2028"`, `\` + "\u2028": "\"\\\\\u2028\"",
		"\x01\b\t\n\f\r\x1f": `"\u0001\b\t\n\f\r\u001f"`, `"`: `"\""`,
	} {
		if got, err := api.Encode(in); err != nil || string(got) != want {
			t.Errorf("%q: %s, want %s (%v)", in, got, want, err)
		}
	}
}
