package send

import (
	"log/slog"
	"os"
	"testing"
)

// TestMain makes this binary the processes of the tests as well.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // thousands of collectors that answer again
	switch dir := os.Getenv("SEND_TEST_DIR"); os.Getenv("SEND_TEST_ROLE") {
	case "gateway":
		gateway(dir)
	case "million":
		offerMillion(dir)
	default:
		os.Exit(m.Run())
	}
}
