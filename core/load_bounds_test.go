package core

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Texts below the size limit that kept the parser busy for minutes are refused at once, with the line.
func TestLoadIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"dotted key":        "\na" + strings.Repeat(".a", 32000) + "=0\n",
		"quoted dotted key": "\n" + strings.Repeat(`"a".`, 15000) + "a=0\n",
		"dotted table":      "\n[" + strings.Repeat("a.", 30000) + "a]\n",
		"inline tables":     "\na=" + strings.Repeat("{a=", 20000),
		"arrays":            "\na=" + strings.Repeat("[", 60000),
		"tables":            "\n" + strings.Repeat("[[reward]]\n", 5900),
		"many tables":       "\n" + strings.Repeat("[a.b]\n", 9000),
		"keys":              "\n" + strings.Repeat("a=1\n", 16000),
		"inline keys":       "\na={" + strings.Repeat("b=1,", 16000) + "}",
		"behind a comment":  "# \"\na" + strings.Repeat(".a", 32000) + "=0\n",
		"behind a string":   "x='''\n'''\na" + strings.Repeat(".a", 32000) + "=0\n",
		"open string":       "x=\"\na" + strings.Repeat(".a", 32000) + "=0\n",
	} {
		if len(text) > maxLayer {
			t.Fatalf("%s: %d bytes, more than any layer", name, len(text))
		}
		began := time.Now()
		_, err := Load([]Layer{{"f.toml", []byte(text)}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "f.toml:") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 200 {
			t.Errorf("%s: %.300v", name, err)
		}
		if passed := time.Since(began); passed > 2*time.Second { // a few milliseconds
			t.Errorf("%s: took %v", name, passed)
		}
	}
}

// What a person writes is far from the limits, and strings and comments do not count.
func TestLoadBoundsLeaveRoom(t *testing.T) {
	c := Default()
	r := c.Reward[0]
	for _, aspect := range strings.Fields("a b c d e f g h i j k l m n o p q r s t") {
		r.Aspect = aspect
		c.Reward = append(c.Reward, r)
	}
	text := c.TOML()
	text = append(text, []byte("# "+strings.Repeat("[a.b=", 5000)+"\n")...)
	text = bytes.Replace(text, []byte(`prompts = "`+c.Train.Prompts), []byte(`prompts = "`+strings.Repeat("../", 100)), 1)
	if _, err := Load([]Layer{{"f.toml", text}}, nil); err != nil {
		t.Error(err)
	}
}
