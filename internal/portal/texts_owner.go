package portal

import (
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// ownerTexts are the words of the owner's page in one language. EndOf has the actor and the target.
type ownerTexts struct {
	Heading, Rules, RulesText, Lead, Live, None, NoneText, More string
	Actor, Target, Why, Since, Left, End, EndOf, Mode           string
	Emergency                                                   string
}

func (t *ownerTexts) end(actor, target string) string { return fmt.Sprintf(t.EndOf, actor, target) }

var ownerLanguages = lang.Texts[*ownerTexts]{
	"en": {
		Heading: "For owners", Rules: "Rules", RulesText: "Who may do what, in this order: the first policy that fits decides. They are changed in the gateway’s configuration.",
		Lead: "Who is in somebody else’s account now. Whatever you end here ends at once, in all their windows.",
		Live: "Live now", None: "Nobody is in somebody else’s account", NoneText: "Whoever starts appears here.", More: "There are more. The API lists them all.",
		Actor: "Who", Target: "In the account of", Why: "Why", Since: "Since", Left: "Time", Mode: "Access", End: "End", EndOf: "End: %s in the account of %s", Emergency: "Emergency",
	},
	"de": {
		Heading: "Verwaltung", Rules: "Regeln", RulesText: "Wer was darf, in dieser Reihenfolge: Die erste passende Regel entscheidet. Geändert werden sie in der Konfiguration des Gateways.",
		Lead: "Wer gerade ein fremdes Konto verwendet. Was Sie hier beenden, endet sofort, in allen Fenstern.",
		Live: "Gerade jetzt", None: "Niemand verwendet ein fremdes Konto", NoneText: "Wer beginnt, erscheint hier.", More: "Es gibt noch mehr. Die API nennt alle.",
		Actor: "Wer", Target: "Im Konto von", Why: "Warum", Since: "Seit", Left: "Zeit", Mode: "Zugriff", End: "Beenden", EndOf: "Beenden: %s im Konto von %s", Emergency: "Notfall",
	},
	"fr": {
		Heading: "Gestion", Rules: "Règles", RulesText: "Qui peut faire quoi, dans cet ordre : la première règle qui convient décide. On les change dans la configuration de la passerelle.",
		Lead: "Qui utilise en ce moment le compte de quelqu’un d’autre. Ce que vous terminez ici prend fin aussitôt, dans toutes les fenêtres.",
		Live: "En cours", None: "Personne n’utilise le compte de quelqu’un d’autre", NoneText: "Qui commence apparaît ici.", More: "Il y en a d’autres. L’API les donne toutes.",
		Actor: "Qui", Target: "Dans le compte de", Why: "Pourquoi", Since: "Depuis", Left: "Temps", Mode: "Accès", End: "Terminer", EndOf: "Terminer : %s dans le compte de %s", Emergency: "Urgence",
	},
	"es": {
		Heading: "Gestión", Rules: "Reglas", RulesText: "Quién puede hacer qué, en este orden: decide la primera regla que encaja. Se cambian en la configuración del gateway.",
		Lead: "Quién usa ahora la cuenta de otra persona. Lo que termine aquí acaba al instante, en todas las ventanas.",
		Live: "Ahora mismo", None: "Nadie usa la cuenta de otra persona", NoneText: "Quien empiece aparecerá aquí.", More: "Hay más. La API las da todas.",
		Actor: "Quién", Target: "En la cuenta de", Why: "Por qué", Since: "Desde", Left: "Tiempo", Mode: "Acceso", End: "Terminar", EndOf: "Terminar: %s en la cuenta de %s", Emergency: "Emergencia",
	},
	"ja": {
		Heading: "管理", Rules: "規則", RulesText: "誰が何をできるかを、この順で定めています。最初に当てはまる規則で決まります。変更はゲートウェイの設定で行います。",
		Lead: "現在、他の人のアカウントを使用している人です。ここで終了すると、すべての画面でただちに終わります。",
		Live: "使用中", None: "他の人のアカウントを使用している人はいません", NoneText: "使用が始まると、ここに表示されます。", More: "ほかにもあります。すべてはAPIで確認できます。",
		Actor: "使用者", Target: "アカウント", Why: "理由", Since: "開始", Left: "時間", Mode: "アクセス", End: "終了", EndOf: "終了:%s(アカウント:%s)", Emergency: "緊急",
	},
}
