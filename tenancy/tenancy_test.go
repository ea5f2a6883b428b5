package tenancy_test

import (
	"errors"
	"strings"
	"testing"

	"wadm/tenancy"
)

func TestNamesThatCouldReachASubjectAreCheckedFirst(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                 string
		tenant, lattice, app bool
	}{
		{"default", true, true, true},
		{"A-b_9", true, true, true},
		{"9lives", true, true, true},
		{"-dash", true, false, true},
		{"_under", true, false, true},
		{"", false, false, false},
		{"a.b", false, false, false},
		{"a*", false, false, false},
		{"a>", false, false, false},
		{"a b", false, false, false},
		{"a\n", false, false, false},
		{"a\x00", false, false, false},
		{"müller", false, false, false},
		{strings.Repeat("a", 64), true, true, true},
		{strings.Repeat("a", 65), false, true, true},
		{strings.Repeat("a", 128), false, true, true},
		{strings.Repeat("a", 129), false, false, false},
	} {
		check := func(what string, err error, want bool) {
			t.Helper()
			if (err == nil) != want {
				t.Errorf("%s %q: %v, want allowed=%v", what, tc.name, err, want)
			}
			if err != nil && !errors.Is(err, tenancy.ErrBadName) {
				t.Errorf("%s %q: %v does not wrap ErrBadName", what, tc.name, err)
			}
		}
		_, err := tenancy.ParseTenant(tc.name)
		check("tenant", err, tc.tenant)
		_, err = tenancy.ParseLattice(tc.name)
		check("lattice", err, tc.lattice)
		_, err = tenancy.ParseApp(tc.name)
		check("application", err, tc.app)
	}
}

func TestErrorsDoNotRepeatHostileNamesInFull(t *testing.T) {
	t.Parallel()
	_, err := tenancy.ParseLattice(strings.Repeat("x", 1<<20))
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

// FuzzTokensAreUnambiguous: two different keys never share a subject or a record.
func FuzzTokensAreUnambiguous(f *testing.F) {
	f.Add("a", "b-c")
	f.Add("a-b", "c")
	f.Add("default", "default")
	f.Fuzz(func(t *testing.T, tenant, lattice string) {
		tn, err1 := tenancy.ParseTenant(tenant)
		l, err2 := tenancy.ParseLattice(lattice)
		if err1 != nil || err2 != nil {
			return
		}
		key := tenancy.LatticeKey{Tenant: tn, Lattice: l}
		back, err := tenancy.ParseToken(key.Token())
		if err != nil || back != key {
			t.Errorf("%v became %q and then %v, %v", key, key.Token(), back, err)
		}
	})
}

func TestStatusHasTheBytesClientsKnow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status tenancy.Status
		want   string
	}{
		{tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusUndeployed, Message: "Manifest has been undeployed"}},
			`{"status":{"type":"undeployed","message":"Manifest has been undeployed"},"version":"","components":[]}`},
		{tenancy.Status{
			Status: tenancy.StatusInfo{Type: tenancy.StatusDeployed},
			Scalers: []tenancy.ScalerStatus{{ID: "1", Kind: "LinkScaler", Name: "a -(wasi:http)-> b",
				Status: tenancy.StatusInfo{Type: tenancy.StatusDeployed}}}},
			`{"status":{"type":"deployed"},"scalers":[{"id":"1","kind":"LinkScaler","name":"a -(wasi:http)-> b","status":{"type":"deployed"}}],"version":"","components":[]}`},
	} {
		got, err := tc.status.Encode()
		if err != nil || string(got) != tc.want {
			t.Errorf("encoded %s, %v; want %s", got, err, tc.want)
		}
		back, err := tenancy.DecodeStatus(got)
		if err != nil || back.Status != tc.status.Status || len(back.Scalers) != len(tc.status.Scalers) {
			t.Errorf("decoded %+v, %v", back, err)
		}
	}
}

func TestWordsOfOlderServersAreUnderstood(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]tenancy.StatusType{"compensating": tenancy.StatusReconciling, "ready": tenancy.StatusDeployed} {
		st, err := tenancy.DecodeStatus([]byte(`{"status":{"type":"` + word + `"}}`))
		if err != nil || st.Status.Type != want {
			t.Errorf("%s became %q, %v", word, st.Status.Type, err)
		}
	}
	if _, err := tenancy.DecodeStatus([]byte(`{"status":{"type":"splendid"}}`)); err == nil {
		t.Error("an unknown word was taken")
	}
}
