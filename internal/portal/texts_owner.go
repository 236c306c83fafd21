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

	// Pairs that are kept apart. UnlockOf has the actor and the target.
	Locks, LocksText, NoLocks, LockedSince, ObjectedTo, Ticket, Unlock, UnlockOf, UnlockWhy string
}

func (t *ownerTexts) unlock(actor, target string) string {
	return fmt.Sprintf(t.UnlockOf, actor, target)
}

func (t *ownerTexts) end(actor, target string) string { return fmt.Sprintf(t.EndOf, actor, target) }

var ownerLanguages = lang.Texts[*ownerTexts]{
	"en": {
		Heading: "For owners", Rules: "Rules", RulesText: "Who may do what, in this order: the first policy that fits decides. They are changed in the gateway’s configuration.",
		Lead: "Who is in somebody else’s account now. Whatever you end here ends at once, in all their windows.",
		Live: "Live now", None: "Nobody is in somebody else’s account", NoneText: "Whoever starts appears here.", More: "There are more. The API lists them all.",
		Actor: "Who", Target: "In the account of", Why: "Why", Since: "Since", Left: "Time", Mode: "Access", End: "End", EndOf: "End: %s in the account of %s", Emergency: "Emergency",
		Locks: "Locked pairs", LocksText: "Whoever’s account was used said that they had not expected it. Until you lift the lock, nobody can start again what it keeps apart; that you did, and why, is recorded.", NoLocks: "No pair is locked", LockedSince: "Locked since", ObjectedTo: "About the use of", Ticket: "Ticket", Unlock: "Lift the lock", UnlockOf: "Lift the lock: %s in the account of %s", UnlockWhy: "Why it is lifted",
	},
	"de": {
		Heading: "Verwaltung", Rules: "Regeln", RulesText: "Wer was darf, in dieser Reihenfolge: Die erste passende Regel entscheidet. Geändert werden sie in der Konfiguration des Gateways.",
		Lead: "Wer gerade ein fremdes Konto verwendet. Was Sie hier beenden, endet sofort, in allen Fenstern.",
		Live: "Gerade jetzt", None: "Niemand verwendet ein fremdes Konto", NoneText: "Wer beginnt, erscheint hier.", More: "Es gibt noch mehr. Die API nennt alle.",
		Actor: "Wer", Target: "Im Konto von", Why: "Warum", Since: "Seit", Left: "Zeit", Mode: "Zugriff", End: "Beenden", EndOf: "Beenden: %s im Konto von %s", Emergency: "Notfall",
		Locks: "Gesperrte Paare", LocksText: "Die Person, deren Konto verwendet wurde, hat das nicht erwartet. Bis Sie die Sperre aufheben, kann dieser Zugriff nicht neu beginnen; dass Sie es taten, und warum, wird aufgezeichnet.", NoLocks: "Kein Paar ist gesperrt", LockedSince: "Gesperrt seit", ObjectedTo: "Betrifft die Verwendung vom", Ticket: "Ticket", Unlock: "Sperre aufheben", UnlockOf: "Sperre aufheben: %s im Konto von %s", UnlockWhy: "Warum sie aufgehoben wird",
	},
	"fr": {
		Heading: "Gestion", Rules: "Règles", RulesText: "Qui peut faire quoi, dans cet ordre : la première règle qui convient décide. On les change dans la configuration de la passerelle.",
		Lead: "Qui utilise en ce moment le compte de quelqu’un d’autre. Ce que vous terminez ici prend fin aussitôt, dans toutes les fenêtres.",
		Live: "En cours", None: "Personne n’utilise le compte de quelqu’un d’autre", NoneText: "Qui commence apparaît ici.", More: "Il y en a d’autres. L’API les donne toutes.",
		Actor: "Qui", Target: "Dans le compte de", Why: "Pourquoi", Since: "Depuis", Left: "Temps", Mode: "Accès", End: "Terminer", EndOf: "Terminer : %s dans le compte de %s", Emergency: "Urgence",
		Locks: "Paires bloquées", LocksText: "La personne dont le compte a été utilisé ne s’y attendait pas. Tant que vous ne levez pas le blocage, cet accès ne peut pas recommencer ; que vous l’avez fait, et pourquoi, est enregistré.", NoLocks: "Aucune paire n’est bloquée", LockedSince: "Bloqué depuis le", ObjectedTo: "À propos de l’utilisation du", Ticket: "Ticket", Unlock: "Lever le blocage", UnlockOf: "Lever le blocage : %s dans le compte de %s", UnlockWhy: "Pourquoi il est levé",
	},
	"es": {
		Heading: "Gestión", Rules: "Reglas", RulesText: "Quién puede hacer qué, en este orden: decide la primera regla que encaja. Se cambian en la configuración del gateway.",
		Lead: "Quién usa ahora la cuenta de otra persona. Lo que termine aquí acaba al instante, en todas las ventanas.",
		Live: "Ahora mismo", None: "Nadie usa la cuenta de otra persona", NoneText: "Quien empiece aparecerá aquí.", More: "Hay más. La API las da todas.",
		Actor: "Quién", Target: "En la cuenta de", Why: "Por qué", Since: "Desde", Left: "Tiempo", Mode: "Acceso", End: "Terminar", EndOf: "Terminar: %s en la cuenta de %s", Emergency: "Emergencia",
		Locks: "Pares bloqueados", LocksText: "La persona cuya cuenta se usó no lo esperaba. Hasta que levante el bloqueo, ese acceso no puede volver a empezar; que lo hizo, y por qué, queda registrado.", NoLocks: "Ningún par está bloqueado", LockedSince: "Bloqueado desde", ObjectedTo: "Sobre el uso del", Ticket: "Ticket", Unlock: "Levantar el bloqueo", UnlockOf: "Levantar el bloqueo: %s en la cuenta de %s", UnlockWhy: "Por qué se levanta",
	},
	"ja": {
		Heading: "管理", Rules: "規則", RulesText: "誰が何をできるかを、この順で定めています。最初に当てはまる規則で決まります。変更はゲートウェイの設定で行います。",
		Lead: "現在、他の人のアカウントを使用している人です。ここで終了すると、すべての画面でただちに終わります。",
		Live: "使用中", None: "他の人のアカウントを使用している人はいません", NoneText: "使用が始まると、ここに表示されます。", More: "ほかにもあります。すべてはAPIで確認できます。",
		Actor: "使用者", Target: "アカウント", Why: "理由", Since: "開始", Left: "時間", Mode: "アクセス", End: "終了", EndOf: "終了:%s(アカウント:%s)", Emergency: "緊急",
		Locks: "ロック中の組", LocksText: "アカウントを使用された人が、心当たりがないと申し出ています。ロックを解除するまで、この使用は再開できません。解除したことと理由は記録されます。", NoLocks: "ロック中の組はありません", LockedSince: "ロック開始", ObjectedTo: "対象の使用", Ticket: "チケット", Unlock: "ロックを解除", UnlockOf: "ロックを解除:%s(アカウント:%s)", UnlockWhy: "解除する理由",
	},
}
