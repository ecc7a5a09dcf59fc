package console

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A browser is a headless Chromium with one page, steered by its debugging
// pipe.
type browser struct {
	t       *testing.T
	in      io.Writer
	pipe    *os.File
	out     *bufio.Reader // of it
	id      int
	session string
	noises  []string // what scripts and the content rules complained of
}

// startBrowser returns nil where no Chromium is installed; CI installs it.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		require.Empty(t, os.Getenv("CI"), "in CI the page is tested: install chromium")
		t.Log("chromium is not installed: the page itself is not tested")
		return nil
	}
	dir, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	fromTest, toChromium, err := os.Pipe()
	require.NoError(t, err)
	fromChromium, toTest, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir="+dir, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{fromTest, toTest}
	require.NoError(t, cmd.Start())
	_, _ = fromTest.Close(), toTest.Close()
	t.Cleanup(func() {
		_ = toChromium.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = fromChromium.Close()
		// Its helpers may still be writing for a moment.
		assert.Eventually(t, func() bool { return os.RemoveAll(dir) == nil }, time.Minute, 10*time.Millisecond)
	})
	b := &browser{t: t, in: toChromium, pipe: fromChromium, out: bufio.NewReader(fromChromium)}
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})
	attached := b.call("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})
	b.session, _ = attached["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil)
	}
	b.size(1440, 900)
	return b
}

// call sends a command and waits for its answer.
func (b *browser) call(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.id++
	msg := map[string]any{"id": b.id, "method": method}
	if params != nil {
		msg["params"] = params
	}
	if b.session != "" {
		msg["sessionId"] = b.session
	}
	require.NoError(b.t, b.pipe.SetReadDeadline(time.Now().Add(2*time.Minute)))
	_, err := b.in.Write(append(toJSON(msg), 0))
	require.NoError(b.t, err)
	for {
		data, err := b.out.ReadBytes(0)
		require.NoError(b.t, err, "the browser fell silent during %s", method)
		var answer struct {
			ID     int
			Method string
			Params json.RawMessage
			Result map[string]any
			Error  *struct{ Message string }
		}
		require.NoError(b.t, json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &answer))
		if answer.Method == "Runtime.exceptionThrown" || answer.Method == "Log.entryAdded" || answer.Method == "Runtime.consoleAPICalled" {
			b.noises = append(b.noises, string(answer.Params))
		}
		if answer.ID == b.id {
			if answer.Error != nil {
				require.NoError(b.t, errors.New(answer.Error.Message), method)
			}
			return answer.Result
		}
	}
}

func (b *browser) size(width, height int) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
}

// eval is the value of an expression on the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	result := b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	require.NotContains(b.t, result, "exceptionDetails", expression)
	value, _ := result["result"].(map[string]any)
	return value["value"]
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for b.eval(expression) != true {
		if time.Now().After(deadline) {
			require.Fail(b.t, "the page never came to "+expression, "%v\n%v", b.noises, b.eval("document.body.innerText"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// text is what an element shows.
func (b *browser) text(selector string) string {
	b.t.Helper()
	s, _ := b.eval(fmt.Sprintf("document.querySelector(%q).innerText", selector)).(string)
	return s
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url})
	b.until("document.readyState === 'complete' && document.getElementById('state')?.dataset.state === 'live'")
}

// picture saves what the page looks like, for people: SCREENSHOTS names the folder.
func (b *browser) picture(name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	shot := b.call("Page.captureScreenshot", map[string]any{"format": "png"})
	data, err := base64.StdEncoding.DecodeString(shot["data"].(string))
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(dir+"/"+name+".png", data, 0o644))
}

func TestPage(t *testing.T) {
	b := startBrowser(t)
	if b == nil {
		return
	}
	r := newRig(t)
	b.open(r.served.URL())
	assert.Contains(t, b.text("#request-empty"), "No requests yet. Try curl -i "+r.URL()+"/hello")
	assert.Contains(t, b.text("#plugins"), "guard 1.2.3")

	// Live: a request shows up, is chosen by itself, and its waterfall drawn.
	r.send("GET", "/orders?token=query-secret&x=1", "Authorization", "Bearer asked-secret")
	b.until("document.querySelectorAll('#fall .event').length === 4 && document.getElementById('fall').innerText.includes('11 flights')") // it has ended
	assert.Contains(t, b.text("#request-list"), "/orders?token=(12 bytes)&x=1")
	fall := b.text("#fall")
	for _, want := range []string{"3 phases, 8 PDK calls, 11 flights", "access", "guard · 5 calls, 6 flights", "request.get_path", `"/orders"`, `service.request.set_header("X-Seen", "yes")`, "upstream", "response", "log", "log.serialize"} {
		assert.Contains(t, fall, want)
	}
	// The bars stand in the order of time and inside their tracks.
	assert.Equal(t, true, b.eval(`(() => { const bars = [...document.querySelectorAll('#fall .event .b:first-child')].map(b => b.getBoundingClientRect());
		return bars.length === 4 && bars.every((r, i) => r.width >= 3 && (!i || bars[i-1].left <= r.left)) &&
			[...document.querySelectorAll('#fall .b')].every(b => { const t = b.parentNode.getBoundingClientRect(), r = b.getBoundingClientRect(); return r.left >= t.left - 1 && r.right <= t.right + 5; }) })()`))

	// What anybody sends is text and stays text.
	r.send("GET", "/%3Cimg%20src=x%20onerror=alert(1)%3E?q=<script>document.title='owned'</script>", "X-Test", "say")
	r.post(strings.Replace(sampleEvent, `"alice"`, `"<img src=x onerror=document.title='owned'>"`, 1))
	b.until("document.querySelectorAll('#event-list .row:not([hidden])').length === 1 && document.querySelectorAll('#request-list .row:not([hidden])').length === 2")
	assert.Contains(t, b.text("#request-list"), "<script>document.title='owned'</script>")
	assert.Contains(t, b.text("#event-list"), "user <img src=x onerror=document.title='owned'>")
	assert.Equal(t, []any{"kongdev console", 0.0, 1.0}, b.eval("[document.title, document.querySelectorAll('img').length, document.querySelectorAll('script').length]"))

	// An event of the collector, without its secrets.
	b.eval("document.querySelector('#event-list .row').click()")
	b.until("!!document.querySelector('#detail pre')")
	assert.Contains(t, b.text("#detail pre"), `"password": "(hidden)"`)
	b.eval("document.getElementById('tab-lines').click()")
	b.until("document.getElementById('line-list').innerText.includes('plugin says <b>hello</b>')")
	b.eval("[...document.querySelectorAll('#line-list .row')].find(r => r.innerText.includes('plugin says')).click()")
	assert.Contains(t, b.text("#detail pre"), "plugin says <b>hello</b> with Authorization: Bearer …")
	whole, _ := b.eval("document.documentElement.outerHTML").(string)
	for _, s := range secrets {
		assert.NotContains(t, whole, s)
	}

	// A failed request says why; filter and keyboard.
	r.send("GET", "/wrong", "X-Test", "wrong")
	b.until("document.querySelectorAll('#request-list .row:not([hidden])').length === 3")
	b.eval("(f => { f.value = 'failed 500'; f.dispatchEvent(new Event('input')) })(document.getElementById('filter'))")
	b.until("document.querySelectorAll('#request-list .row:not([hidden])').length === 1")
	b.eval("document.querySelector('#request-list .row').click()")
	b.until("document.querySelector('#detail .failure')?.innerText.includes('function cannot be called in access phase')")
	b.eval("(f => { f.value = ''; f.dispatchEvent(new Event('input')) })(document.getElementById('filter'))")
	b.until("document.querySelectorAll('#request-list .row:not([hidden])').length === 3")
	b.eval("document.getElementById('request-list').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}))")
	b.until("document.querySelector('#detail .title .path').innerText.includes('/%3Cimg')")
	assert.Empty(t, b.noises)
	b.picture("page")
}

// Thousands of requests keep the page quick: only what is in sight is drawn.
func TestPageUnderLoad(t *testing.T) {
	b := startBrowser(t)
	if b == nil {
		return
	}
	r := newRig(t)
	b.open(r.served.URL())
	const total = 3000
	for i := range total {
		r.send("GET", fmt.Sprintf("/n/%d", i))
	}
	b.until(fmt.Sprintf("document.getElementById('stats').innerText.includes('%d,%03d')", total/1000, total%1000))
	b.until(fmt.Sprintf("document.querySelector('#request-list').innerText.includes('/n/%d')", total-1))
	assert.Less(t, b.eval("document.querySelectorAll('*').length"), 2000.0)
	assert.InDelta(t, keptRequests*30, b.eval("document.querySelector('#request-list .space').offsetHeight"), 1)
	// A full turn over the list and back.
	b.eval("(l => { l.scrollTop = l.scrollHeight })(document.getElementById('request-list'))")
	b.until(fmt.Sprintf("document.querySelector('#request-list').innerText.includes('/n/%d')", total-keptRequests))
	b.eval("document.getElementById('request-list').scrollTop = 0")
	b.until(fmt.Sprintf("document.querySelector('#request-list').innerText.includes('/n/%d')", total-1))
	assert.Empty(t, b.noises)
}
