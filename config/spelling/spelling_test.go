package spelling_test

import (
	"testing"

	"wadm/config/spelling"
)

// TestNearestFindsTyposAndNothingElse: a slip of the finger is recognised, another
// word is not, unless any answer will do.
func TestNearestFindsTyposAndNothingElse(t *testing.T) {
	t.Parallel()
	words := []string{"instances", "spread", "replicas"}
	tests := []struct {
		word  string
		close bool
		want  string
	}{
		{"instnces", true, "instances"},
		{"instacnes", true, "instances"},
		{"sprea", true, "spread"},
		{"replicass", true, "replicas"},
		{"image", true, ""},
		{"", true, ""},
		{"replies", false, "replicas"},
	}
	for _, tt := range tests {
		got, ok := spelling.Nearest(tt.word, words, tt.close)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q: %q, %t, want %q", tt.word, got, ok, tt.want)
		}
	}
	if got, ok := spelling.Nearest("x", nil, false); ok {
		t.Errorf("found %q among none", got)
	}
}
