package report

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
)

// browser is a Chromium that is driven through its debugging pipe.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	number  int
	session string
	seen    []string // methods of events, and the addresses of requests
}

// openBrowser opens a page in Chromium; the test is skipped where that is not installed.
func openBrowser(t *testing.T, page string) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("no Chromium on this machine")
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1200,1600",
		"--user-data-dir="+t.TempDir(), "about:blank")
	c.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := c.Start(); err != nil {
		t.Skipf("Chromium does not start: %v", err)
	}
	_ = theirIn.Close()
	_ = theirOut.Close()
	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	late := time.AfterFunc(90*time.Second, func() { _ = from.Close() })
	t.Cleanup(func() {
		late.Stop()
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
		_ = to.Close()
		_ = from.Close()
	})
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	b.session = b.call("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.call(domain+".enable", nil)
	}
	b.call("Page.navigate", map[string]any{"url": "file://" + path})
	for late := time.Now().Add(30 * time.Second); b.eval(`document.readyState === "complete" && location.protocol === "file:"`) != true; {
		if time.Now().After(late) {
			t.Fatal("the page does not load")
		}
		time.Sleep(50 * time.Millisecond)
	}
	return b
}

// call sends a command and waits for its answer.
func (b *browser) call(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.number++
	message := map[string]any{"id": b.number, "method": method, "params": params}
	if params == nil {
		delete(message, "params")
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: Chromium does not answer: %v", method, err)
		}
		var got struct {
			ID     int             `json:"id"`
			Method string          `json:"method"`
			Result map[string]any  `json:"result"`
			Error  json.RawMessage `json:"error"`
			Params struct {
				Request struct {
					URL string `json:"url"`
				} `json:"request"`
				Entry struct {
					Text string `json:"text"`
				} `json:"entry"`
				ExceptionDetails json.RawMessage `json:"exceptionDetails"`
			} `json:"params"`
		}
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &got); err != nil {
			b.t.Fatal(err)
		}
		if got.Method != "" {
			b.seen = append(b.seen, got.Method+" "+got.Params.Request.URL+got.Params.Entry.Text+string(got.Params.ExceptionDetails))
		}
		if got.ID == b.number {
			if got.Error != nil {
				b.t.Fatalf("%s: %s", method, got.Error)
			}
			return got.Result
		}
	}
}

// eval evaluates an expression in the page.
func (b *browser) eval(script string) any {
	b.t.Helper()
	got := b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true})
	if got["exceptionDetails"] != nil {
		b.t.Fatalf("%s: %v", script, got["exceptionDetails"])
	}
	return got["result"].(map[string]any)["value"]
}

func (b *browser) want(script string, want any) {
	b.t.Helper()
	if got := b.eval(script); got != want {
		b.t.Errorf("%s is %v, want %v", script, got, want)
	}
}

// quiet is an error where the page asked the network, or complained.
func (b *browser) quiet() {
	b.t.Helper()
	for _, e := range b.seen {
		request, isRequest := strings.CutPrefix(e, "Network.requestWillBeSent ")
		asks := isRequest && !strings.HasPrefix(request, "data:") && !strings.HasPrefix(request, "file:")
		if asks || strings.HasPrefix(e, "Log.entryAdded") || strings.HasPrefix(e, "Runtime.exceptionThrown") {
			b.t.Errorf("the browser says %.300s", e)
		}
	}
}

// Sliders, heatmaps and values under the pointer work in a real browser, light and dark, without the network.
func TestInBrowser(t *testing.T) {
	b := openBrowser(t, pageOf(t, Options{Runs: []run.Folder{testRun(t, "violence", "", 40)}}))
	style := func(of, what string) string { return `getComputedStyle(document.querySelector("` + of + `"))` + what }
	b.want(style(".tuned", ".clipPath"), "inset(0px 0px 0px 50%)") // the script ran, and the styles hold
	b.want(`(() => { const w = document.querySelector(".wipe"); w.value = 20; w.dispatchEvent(new Event("input")); return `+style(".tuned", ".clipPath")+`; })()`, "inset(0px 0px 0px 20%)")
	b.want(style(".heat", ".opacity"), "0")
	b.want(`(() => { const w = document.querySelector(".warm"); w.value = 60; w.dispatchEvent(new Event("input")); return `+style(".heat", ".opacity")+`; })()`, "0.6")
	b.want(`[...document.images].every((i) => i.complete && i.naturalWidth > 0)`, true)
	b.want(`(() => { const s = document.querySelector(".stage"), r = s.getBoundingClientRect();
		s.dispatchEvent(new PointerEvent("pointerdown", {clientX: r.left + r.width * 0.75, clientY: r.top + 5})); return document.querySelector(".wipe").value; })()`, "75")
	b.want(`(() => { const s = document.querySelector(".chart svg"), r = s.getBoundingClientRect();
		s.dispatchEvent(new PointerEvent("pointermove", {clientX: r.left + r.width * 628 / 640, clientY: r.top + 5}));
		return document.getElementById("tip").innerText.replace(/\s+/g, " ").trim(); })()`, "step 40 violence 0.500")
	b.want(`document.documentElement.scrollWidth <= innerWidth`, true)
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}})
		backgrounds[b.eval(style("body", ".backgroundColor")).(string)] = true
		data, err := base64.StdEncoding.DecodeString(b.call("Page.captureScreenshot", nil)["data"].(string))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[[3]uint32]bool{}
		for y := 0; y < img.Bounds().Dy(); y += 3 {
			for x := 0; x < img.Bounds().Dx(); x += 3 {
				r, g, b, _ := img.At(x, y).RGBA()
				seen[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
			}
		}
		if len(seen) < 30 {
			t.Errorf("%s: %d colors on the page", scheme, len(seen))
		}
	}
	if len(backgrounds) != 2 {
		t.Errorf("light and dark have the background %v", backgrounds)
	}
	b.quiet()
}

// What a stranger's run holds stays text, and on a narrow screen the page fits.
func TestHostileRunInBrowser(t *testing.T) {
	b := openBrowser(t, pageOf(t, Options{Runs: []run.Folder{testRun(t, "violence", hostile, 5)}}))
	b.want(`document.title.includes("owned") && !document.title.includes("Focus-N-Fix")`, false)
	b.want(`document.scripts.length`, 2.0)
	b.want(`document.querySelectorAll("[onerror]").length`, 0.0)
	b.want(`document.querySelector("figcaption b").textContent.includes("<script>")`, true)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true})
	b.want(`document.documentElement.scrollWidth <= 400`, true)
	b.quiet()
}
