// Package terminal prepares text for people who read it on a terminal.
package terminal

import "strings"

// Safe puts a blank for each control character: what hosts and manifests say may
// hold anything, and must neither steer the terminal nor break a line.
func Safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// OrDash shows that there is no text.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
