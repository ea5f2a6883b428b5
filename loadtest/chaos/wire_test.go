package chaos

import (
	"fmt"
	"testing"
	"time"

	"wadm/shard"
)

// seen is a view with members in full, and when it was stored.
type seen struct {
	second  float64
	members string
	step    int // of a ramp; 0: none
	cause   string
}

func TestViewsAreFewAndEachHasAReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		views []seen
		want  []string
	}{
		"one joins and gets its share":   {views: []seen{{0, "ab", 0, ""}, {10, "abc", 1, ""}, {15, "abc", 2, ""}, {20, "abc", 3, ""}, {25, "abc", 4, ""}, {30, "abc", 0, ""}}},
		"two join together":              {views: []seen{{0, "ab", 0, ""}, {10, "abcd", 1, ""}}},
		"two join one by one":            {views: []seen{{0, "ab", 0, ""}, {10, "abc", 1, ""}, {12.9, "abcd", 1, ""}}, want: []string{"lets members in"}},
		"two join into an empty fleet":   {views: []seen{{0, "a", 0, ""}, {0.2, "ab", 0, ""}}},
		"the share comes too fast":       {views: []seen{{0, "ab", 0, ""}, {10, "abc", 1, ""}, {14, "abc", 2, ""}}, want: []string{"moves lattices"}},
		"one is back before it was gone": {views: []seen{{0, "ab", 0, ""}, {10, "abc", 1, ""}, {15, "abc", 2, ""}, {16, "abc", 0, ""}, {17, "abc", 1, ""}, {22, "abc", 2, ""}}},
		"nothing changes":                {views: []seen{{0, "ab", 0, ""}, {10, "ab", 0, ""}}, want: []string{"changes nothing"}},
		"one after the other is lost":    {views: []seen{{0, "abcd", 0, ""}, {10, "abc", 0, ""}, {10.3, "ab", 0, ""}, {10.6, "a", 0, ""}}},
		"many leave in order": {views: []seen{{0, "abcdefgh", 0, ""}, {10, "abcdefg", 0, "left x"}, {10.3, "abcdef", 0, "left x"}, {10.6, "abcde", 0, "draining x, left y"}, {10.9, "abcd", 0, "left x"},
			{11, "abc", 0, "left x"}, {11.5, "ab", 0, "left x"}, {11.8, "a", 0, "left x"}}},
		"too many are lost": {views: []seen{{0, "abcdefgh", 0, ""}, {10, "abcdefg", 0, "lost x"}, {10.3, "abcdef", 0, "left x, lost y"}, {10.6, "abcde", 0, "lost x"}, {10.9, "abcd", 0, "lost x"},
			{11, "abc", 0, "lost x"}, {11.5, "ab", 0, "lost x"}}, want: []string{"6 views within 3s"}},
		"too many": {views: []seen{{0, "a", 0, ""}, {10, "ab", 0, ""}, {10.3, "a", 0, ""}, {10.6, "ab", 0, ""}, {11, "a", 0, ""}, {12, "ab", 0, ""}, {12.9, "a", 0, ""}}, want: []string{"6 views within 3s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var views []shard.View
			var stored []time.Time
			for i, s := range tc.views {
				v := shard.View{Rev: uint64(i + 1), Cause: s.cause}
				for _, m := range s.members {
					v.Members = append(v.Members, shard.ViewMember{ID: shard.MemberID(fmt.Sprint(m)), State: shard.MemberActive})
				}
				if s.step > 0 {
					v.Ramp = &shard.Ramp{Step: s.step, Of: 4}
				}
				views, stored = append(views, v), append(stored, at(s.second))
			}
			expect(t, herdOfViews(views, stored), tc.want...)
		})
	}
}
