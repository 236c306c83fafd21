package portal

import (
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// retentionTexts are the words on how long the audit is kept. ChangedBy has a name and a time, Pending a period and a
// time, Floored and AtLeast a period, AskTitle two periods, AskWhen two times, AskCounts requests, events and
// impersonations, AskOldest a time, Days a number.
type retentionTexts struct {
	Heading, Lead, Now, Since, Why, Least                           string
	Configured, ChangedBy, Pending, Floored, AtLeast, NoFloor       string
	ForeverWord, Days                                               string
	Change, DaysLabel, ForeverLabel, Reason, ReasonHint, Go, Cancel string
	BadPeriod, NeedReason, Meanwhile, Same                          string
	AskTitle, AskShorter, AskLonger, AskWhen, AskCounts, AskNothing string
	AskOldest, AskUnknown, AskButton, AskButtonLoss                 string
}

func (t *retentionTexts) period(p retention.Period) string {
	if p == retention.Forever {
		return t.ForeverWord
	}
	return fmt.Sprintf(t.Days, int(p))
}

func (t *retentionTexts) floor(p retention.Period) string {
	if p == retention.Forever {
		return t.NoFloor
	}
	return fmt.Sprintf(t.AtLeast, t.period(p))
}

var retentionLanguages = lang.Texts[*retentionTexts]{
	"en": {
		Heading: "How long the audit is kept", Lead: "What is older is deleted for good. The rest can still be proven complete, and the audit says what was deleted.",
		Now: "Kept", Since: "Set", Why: "Why", Least: "Limit",
		Configured: "by the gateway’s configuration", ChangedBy: "by %s, %s", Pending: "Until then it stays at %s: a shorter time takes effect on %s.", Floored: "The limit is longer: %s.",
		AtLeast: "At least %s; the gateway’s configuration says so.", NoFloor: "The gateway’s configuration has the audit kept forever.",
		ForeverWord: "forever", Days: "%d days",
		Change: "Change", DaysLabel: "Days", ForeverLabel: "Keep forever", Reason: "Reason", ReasonHint: "It is recorded with your name.", Go: "Continue", Cancel: "Cancel",
		BadPeriod: "Enter whole days, such as 400, or tick “Keep forever”.", NeedReason: "Say why.", Meanwhile: "Somebody else has changed it meanwhile. Look again, then continue.", Same: "That is what it is now.",
		AskTitle: "From %s to %s?", AskShorter: "What is older will be deleted and can’t be brought back. Until it takes effect you can change it back.", AskLonger: "Nothing more is deleted than before.",
		AskWhen: "Deleted is what was recorded before %s, from %s on.", AskCounts: "As of now: %d requests and %d events, of %d impersonations.", AskNothing: "As of now: nothing is that old.",
		AskOldest: "The oldest record is of %s.", AskUnknown: "How much that is can’t be counted now.", AskButton: "Change it", AskButtonLoss: "Delete what is older",
	},
	"de": {
		Heading: "Wie lange das Protokoll aufbewahrt wird", Lead: "Was älter ist, wird endgültig gelöscht. Der Rest bleibt als vollständig nachweisbar, und das Protokoll sagt, was gelöscht wurde.",
		Now: "Aufbewahrt", Since: "Festgelegt", Why: "Warum", Least: "Grenze",
		Configured: "in der Konfiguration des Gateways", ChangedBy: "von %s, %s", Pending: "Bis dahin bleibt es bei %s: Eine kürzere Dauer gilt erst ab %s.", Floored: "Die Grenze ist länger: %s.",
		AtLeast: "Mindestens %s; so will es die Konfiguration des Gateways.", NoFloor: "Die Konfiguration des Gateways will, dass das Protokoll für immer aufbewahrt wird.",
		ForeverWord: "für immer", Days: "%d Tage",
		Change: "Ändern", DaysLabel: "Tage", ForeverLabel: "Für immer aufbewahren", Reason: "Grund", ReasonHint: "Er wird mit Ihrem Namen festgehalten.", Go: "Weiter", Cancel: "Abbrechen",
		BadPeriod: "Geben Sie ganze Tage an, etwa 400, oder wählen Sie „Für immer aufbewahren“.", NeedReason: "Geben Sie einen Grund an.", Meanwhile: "Jemand anderes hat es inzwischen geändert. Sehen Sie noch einmal nach.", Same: "So ist es schon.",
		AskTitle: "Von %s auf %s ändern?", AskShorter: "Was älter ist, wird gelöscht und lässt sich nicht zurückholen. Bis die Änderung gilt, können Sie sie zurücknehmen.", AskLonger: "Es wird nicht mehr gelöscht als bisher.",
		AskWhen: "Gelöscht wird, was vor %s aufgezeichnet wurde, ab %s.", AskCounts: "Stand jetzt: %d Anfragen und %d Ereignisse, aus %d Übernahmen.", AskNothing: "Stand jetzt: Nichts ist so alt.",
		AskOldest: "Der älteste Eintrag ist vom %s.", AskUnknown: "Wie viel das ist, lässt sich gerade nicht zählen.", AskButton: "Ändern", AskButtonLoss: "Älteres löschen",
	},
	"fr": {
		Heading: "Durée de conservation du journal d’audit", Lead: "Ce qui est plus ancien est supprimé définitivement. Le reste demeure vérifiable, et le journal dit ce qui a été supprimé.",
		Now: "Conservé", Since: "Fixé", Why: "Pourquoi", Least: "Limite",
		Configured: "par la configuration de la passerelle", ChangedBy: "par %s, %s", Pending: "D’ici là, la durée reste de %s : une durée plus courte prend effet le %s.", Floored: "La limite est plus longue : %s.",
		AtLeast: "Au moins %s, selon la configuration de la passerelle.", NoFloor: "La configuration de la passerelle veut que le journal soit conservé pour toujours.",
		ForeverWord: "toujours", Days: "%d jours",
		Change: "Modifier", DaysLabel: "Jours", ForeverLabel: "Conserver pour toujours", Reason: "Motif", ReasonHint: "Il est enregistré avec votre nom.", Go: "Continuer", Cancel: "Annuler",
		BadPeriod: "Indiquez un nombre entier de jours, par exemple 400, ou cochez « Conserver pour toujours ».", NeedReason: "Indiquez un motif.", Meanwhile: "Quelqu’un d’autre l’a modifiée entre-temps. Vérifiez, puis continuez.", Same: "C’est déjà le cas.",
		AskTitle: "Passer de %s à %s ?", AskShorter: "Ce qui est plus ancien sera supprimé sans retour possible. D’ici à la prise d’effet, vous pouvez revenir en arrière.", AskLonger: "Rien de plus n’est supprimé qu’avant.",
		AskWhen: "Sera supprimé ce qui a été enregistré avant le %s, à partir du %s.", AskCounts: "À ce jour : %d requêtes et %d événements, de %d usurpations.", AskNothing: "À ce jour : rien n’est aussi ancien.",
		AskOldest: "L’enregistrement le plus ancien date du %s.", AskUnknown: "La quantité ne peut pas être comptée pour l’instant.", AskButton: "Modifier", AskButtonLoss: "Supprimer ce qui est plus ancien",
	},
	"es": {
		Heading: "Cuánto tiempo se conserva la auditoría", Lead: "Lo más antiguo se elimina para siempre. Lo demás sigue siendo demostrable, y la auditoría dice qué se eliminó.",
		Now: "Se conserva", Since: "Fijado", Why: "Por qué", Least: "Límite",
		Configured: "por la configuración del gateway", ChangedBy: "por %s, %s", Pending: "Hasta entonces sigue en %s: un plazo más corto vale a partir de %s.", Floored: "El límite es más largo: %s.",
		AtLeast: "Al menos %s, según la configuración del gateway.", NoFloor: "La configuración del gateway quiere que la auditoría se conserve para siempre.",
		ForeverWord: "para siempre", Days: "%d días",
		Change: "Cambiar", DaysLabel: "Días", ForeverLabel: "Conservar para siempre", Reason: "Motivo", ReasonHint: "Queda registrado con su nombre.", Go: "Continuar", Cancel: "Cancelar",
		BadPeriod: "Indique días enteros, como 400, o marque «Conservar para siempre».", NeedReason: "Indique el motivo.", Meanwhile: "Otra persona lo ha cambiado entretanto. Mírelo de nuevo y continúe.", Same: "Ya es así.",
		AskTitle: "¿Cambiar de %s a %s?", AskShorter: "Lo más antiguo se eliminará y no se podrá recuperar. Hasta que entre en vigor puede deshacerlo.", AskLonger: "No se elimina más que antes.",
		AskWhen: "Se elimina lo registrado antes de %s, a partir de %s.", AskCounts: "A día de hoy: %d solicitudes y %d eventos, de %d suplantaciones.", AskNothing: "A día de hoy: nada es tan antiguo.",
		AskOldest: "El registro más antiguo es de %s.", AskUnknown: "Ahora no se puede contar cuánto es.", AskButton: "Cambiar", AskButtonLoss: "Eliminar lo más antiguo",
	},
	"ja": {
		Heading: "監査記録の保存期間", Lead: "これより古い記録は完全に削除されます。残りの記録は引き続き完全であることを証明でき、何が削除されたかも監査記録に残ります。",
		Now: "保存期間", Since: "設定", Why: "理由", Least: "下限",
		Configured: "ゲートウェイの設定による", ChangedBy: "%s、%s", Pending: "それまでは%sのままです。短縮は%sから有効になります。", Floored: "下限のほうが長いため、%sになります。",
		AtLeast: "%s以上(ゲートウェイの設定による)", NoFloor: "ゲートウェイの設定により、監査記録は無期限に保存されます。",
		ForeverWord: "無期限", Days: "%d日",
		Change: "変更", DaysLabel: "日数", ForeverLabel: "無期限に保存する", Reason: "理由", ReasonHint: "お名前とともに記録されます。", Go: "次へ", Cancel: "キャンセル",
		BadPeriod: "400のような整数の日数を入力するか、「無期限に保存する」を選んでください。", NeedReason: "理由を入力してください。", Meanwhile: "その間に他の人が変更しました。確認してから続けてください。", Same: "すでにその設定です。",
		AskTitle: "%sから%sに変更しますか?", AskShorter: "これより古い記録は削除され、元に戻せません。有効になるまでは設定を戻すことができます。", AskLonger: "削除される記録は増えません。",
		AskWhen: "%sより前の記録が、%s以降に削除されます。", AskCounts: "現時点で、リクエスト%d件、イベント%d件(代理使用%d件)です。", AskNothing: "現時点で、それほど古い記録はありません。",
		AskOldest: "最も古い記録は%sのものです。", AskUnknown: "件数は現在確認できません。", AskButton: "変更する", AskButtonLoss: "古い記録を削除する",
	},
}
