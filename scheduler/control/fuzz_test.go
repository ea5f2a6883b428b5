package control_test

import (
	"strings"
	"testing"

	"wadm/scheduler/control"
)

func FuzzDecodeAnswers(f *testing.F) {
	for _, x := range recorded(f) {
		f.Add([]byte(x.Reply))
	}
	for _, s := range []string{"", "null", "[]", `{"success":true,"response":[null]}`, `{"success":true,"response":{"components":null}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, data []byte) { control.Decode(data) })
}

func FuzzTraceParentIsOneHeaderValue(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("00-00000000000000000000000000000000-0000000000000000-00")
	f.Fuzz(func(t *testing.T, s string) {
		if control.IsTraceParent(s) && (len(s) != 55 || strings.ContainsAny(s, "\r\n: ")) {
			t.Errorf("%q passes", s)
		}
	})
}
