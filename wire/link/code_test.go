package link

import (
	"errors"
	"fmt"
	"testing"
)

func TestCodeWords(t *testing.T) {
	for c := CodeDone; c <= CodeRedirect; c++ {
		if s := c.String(); s == "" || s == fmt.Sprintf("code %d", uint64(c)) {
			t.Errorf("code %d has no word", uint64(c))
		}
	}
	if got := Code(77).String(); got != "code 77" {
		t.Errorf("unknown code reads %q", got)
	}
}

func TestRetry(t *testing.T) {
	for code, want := range map[Code]bool{CodeDone: true, CodeShutdown: true, CodeBusy: true, CodeReplaced: true,
		CodeRefused: false, CodeRevoked: false, CodeProtocol: false} {
		if got := code.Retry(); got != want {
			t.Errorf("%s: Retry() = %v, want %v", code, got, want)
		}
	}
}

func TestClosed(t *testing.T) {
	wrapped := fmt.Errorf("session: %w", &CloseError{Code: CodeBusy, Reason: "full", Remote: true})
	got, ok := Closed(wrapped)
	if !ok || got.Code != CodeBusy {
		t.Fatalf("Closed(%v) = %v, %v", wrapped, got, ok)
	}
	if want := "link closed by the peer (busy): full"; got.Error() != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, ok := Closed(errors.New("other")); ok {
		t.Error("an unrelated error counts as a closed link")
	}
}

func TestWireBytesCountsHeaders(t *testing.T) {
	s := Stats{SentBytes: 100, ReceivedBytes: 50, SentPackets: 2, ReceivedPackets: 1}
	if got := s.WireBytes(); got != 150+3*HeaderBytes {
		t.Errorf("WireBytes() = %d", got)
	}
}
