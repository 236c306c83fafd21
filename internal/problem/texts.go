package problem

import "github.com/seed-240d5494/caddy-impersonate/internal/lang"

// say is a text of a page in a language, and the language it then is in: what nobody has translated stays English.
func say(language, english string) Said {
	if language != lang.Default {
		if text := languages[language][english]; text != "" {
			return Said{text, language}
		}
	}
	return Said{english, lang.Default}
}

// Said is a text with its language.
type Said struct{ Text, Lang string }

// languages are the translations of what problems say, by language and by what is said in English.
var languages = func() map[string]map[string]string {
	all := map[string]map[string]string{"de": {}, "fr": {}, "es": {}, "ja": {}}
	for english, in := range translations {
		for i, language := range lang.All[1:] {
			all[language][english] = in[i]
		}
	}
	return all
}()

// translations are in the order of lang.All: German, French, Spanish, Japanese.
var translations = map[string][4]string{
	// Ways on.
	"Return to my account":       {"Zurück zu meinem Konto", "Revenir à mon compte", "Volver a mi cuenta", "自分のアカウントに戻る"},
	"Back to the app":            {"Zurück zur Anwendung", "Revenir à l’application", "Volver a la aplicación", "アプリに戻る"},
	"Back to the list of people": {"Zurück zur Liste der Personen", "Revenir à la liste des personnes", "Volver a la lista de personas", "ユーザー一覧に戻る"},
	"Back to the page":           {"Zurück zur Seite", "Revenir à la page", "Volver a la página", "ページに戻る"},
	"Choose an account":          {"Ein Konto wählen", "Choisir un compte", "Elegir una cuenta", "アカウントを選ぶ"},
	"Go on":                      {"Weiter", "Continuer", "Continuar", "続ける"},
	"Log in":                     {"Anmelden", "Se connecter", "Iniciar sesión", "ログイン"},
	"Log in again":               {"Erneut anmelden", "Se reconnecter", "Iniciar sesión de nuevo", "もう一度ログイン"},
	"Try again":                  {"Erneut versuchen", "Réessayer", "Intentar de nuevo", "もう一度試す"},

	// Titles.
	"Impersonation refused":                   {"Nicht erlaubt", "Accès refusé", "Acceso rechazado", "使用は拒否されました"},
	"Log in again first":                      {"Melden Sie sich zuerst erneut an", "Reconnectez-vous d’abord", "Primero inicie sesión de nuevo", "先にもう一度ログインしてください"},
	"Log in first":                            {"Melden Sie sich zuerst an", "Connectez-vous d’abord", "Primero inicie sesión", "先にログインしてください"},
	"Method not allowed":                      {"Methode nicht erlaubt", "Méthode non autorisée", "Método no permitido", "このメソッドは使用できません"},
	"Not allowed":                             {"Nicht erlaubt", "Non autorisé", "No permitido", "許可されていません"},
	"Not available":                           {"Nicht verfügbar", "Non disponible", "No disponible", "利用できません"},
	"Not found":                               {"Nicht gefunden", "Introuvable", "No encontrado", "見つかりません"},
	"Not possible right now":                  {"Gerade nicht möglich", "Impossible pour le moment", "No es posible ahora", "現在は行えません"},
	"Nothing here":                            {"Hier ist nichts", "Rien ici", "Aquí no hay nada", "何もありません"},
	"Request not understood":                  {"Anfrage nicht verstanden", "Demande non comprise", "Solicitud no entendida", "リクエストを理解できません"},
	"Sent from another site":                  {"Von einer anderen Website gesendet", "Envoyé depuis un autre site", "Enviado desde otro sitio", "別のサイトから送信されました"},
	"Sessions can't be read":                  {"Sitzungen können nicht gelesen werden", "Les sessions ne peuvent pas être lues", "Las sesiones no pueden leerse", "セッションを読み取れません"},
	"The app does not answer":                 {"Die Anwendung antwortet nicht", "L’application ne répond pas", "La aplicación no responde", "アプリが応答しません"},
	"Too large":                               {"Zu groß", "Trop grand", "Demasiado grande", "大きすぎます"},
	"Unsupported media type":                  {"Medientyp nicht unterstützt", "Type de média non pris en charge", "Tipo de medio no admitido", "対応していないメディアタイプです"},
	"You are logged out":                      {"Sie sind abgemeldet", "Vous êtes déconnecté", "Ha cerrado la sesión", "ログアウトしました"},
	"You are only looking":                    {"Sie sehen nur zu", "Vous ne faites que regarder", "Solo está mirando", "閲覧のみです"},
	"Your account is deactivated":             {"Ihr Konto ist deaktiviert", "Votre compte est désactivé", "Su cuenta está desactivada", "あなたのアカウントは無効です"},
	"Account deactivated":                     {"Konto deaktiviert", "Compte désactivé", "Cuenta desactivada", "アカウントは無効です"},
	"Login failed":                            {"Anmeldung fehlgeschlagen", "Échec de la connexion", "Error al iniciar sesión", "ログインに失敗しました"},
	"Login refused":                           {"Anmeldung abgelehnt", "Connexion refusée", "Inicio de sesión rechazado", "ログインは拒否されました"},
	"This login is out of date":               {"Diese Anmeldung ist veraltet", "Cette connexion est périmée", "Este inicio de sesión ha caducado", "このログインは期限切れです"},
	"The time can’t be extended":              {"Die Zeit kann nicht verlängert werden", "Le temps ne peut pas être prolongé", "El tiempo no puede ampliarse", "時間を延長できません"},
	"Login is not possible right now":         {"Anmelden ist gerade nicht möglich", "Connexion impossible pour le moment", "Ahora no es posible iniciar sesión", "現在ログインできません"},
	"The identity provider can't be reached":  {"Der Anmeldedienst ist nicht erreichbar", "Le fournisseur d’identité est injoignable", "No se puede contactar con el proveedor de identidad", "認証サービスに接続できません"},
	"You are in your own account again":       {"Sie sind wieder in Ihrem eigenen Konto", "Vous êtes de nouveau dans votre compte", "Está de nuevo en su cuenta", "自分のアカウントに戻りました"},
	"This page can't carry the banner":        {"Diese Seite kann den Hinweis nicht tragen", "Cette page ne peut pas porter la bannière", "Esta página no puede llevar el aviso", "このページにはバナーを表示できません"},
	"Not while using someone else's account":  {"Nicht in einem fremden Konto", "Pas dans le compte de quelqu’un d’autre", "No en la cuenta de otra persona", "他の人のアカウントではできません"},
	"This account can't be passed to the app": {"Dieses Konto kann der Anwendung nicht mitgeteilt werden", "Ce compte ne peut pas être transmis à l’application", "Esta cuenta no puede pasarse a la aplicación", "このアカウントをアプリに渡せません"},
	"Nothing can be recorded, so nothing can be done as someone else": {"Es kann nichts aufgezeichnet werden, also auch nichts als jemand anderes getan", "Rien ne peut être enregistré, donc rien ne peut être fait en tant que quelqu’un d’autre", "No puede registrarse nada, así que no puede hacerse nada como otra persona", "記録できないため、他の人としての操作はできません"},

	// What is said below them.
	"One of the account's facts (its groups, most likely) is too long for a request header. Whoever runs the gateway finds more in its log.": {
		"Eine Angabe des Kontos (wohl seine Gruppen) ist zu lang. Wer das Gateway betreibt, findet mehr in dessen Log.",
		"Une donnée du compte (ses groupes, sans doute) est trop longue. L’exploitant de la passerelle en trouve plus dans son journal.",
		"Un dato de la cuenta (probablemente sus grupos) es demasiado largo. Quien opera el gateway encuentra más en su registro.",
		"アカウント情報(おそらくグループ)が長すぎます。詳細はゲートウェイのログにあります。",
	},
	"Requests by this method are not made as another person.": {
		"Solche Anfragen werden nicht im Namen einer anderen Person gestellt.", "De telles requêtes ne se font pas au nom de quelqu’un d’autre.",
		"Estas peticiones no se hacen en nombre de otra persona.", "この種類の要求は、他の人としては行えません。",
	},
	"The app behind the gateway could not answer this.": {
		"Die Anwendung hinter dem Gateway konnte das nicht beantworten.", "L’application derrière la passerelle n’a pas pu répondre.",
		"La aplicación no pudo responder a esto.", "アプリはこの要求に応答できませんでした。",
	},
	"The app behind the gateway could not be reached, or did not answer in time.": {
		"Die Anwendung war nicht erreichbar oder hat nicht rechtzeitig geantwortet.", "L’application est injoignable, ou n’a pas répondu à temps.",
		"No se pudo contactar con la aplicación, o no respondió a tiempo.", "アプリに接続できないか、時間内に応答がありませんでした。",
	},
	"The directory says that this account is no longer active, so you were logged out. If that is a mistake, ask whoever manages accounts.": {
		"Laut Verzeichnis ist dieses Konto nicht mehr aktiv; Sie wurden abgemeldet. Ist das ein Irrtum, fragen Sie, wer die Konten verwaltet.",
		"Selon l’annuaire, ce compte n’est plus actif ; vous avez été déconnecté. Si c’est une erreur, adressez-vous à qui gère les comptes.",
		"Según el directorio, esta cuenta ya no está activa y se cerró su sesión. Si es un error, consulte a quien gestiona las cuentas.",
		"ディレクトリによると、このアカウントは無効になったため、ログアウトされました。誤りの場合はアカウント管理者に連絡してください。",
	},
	"The directory says that this account is no longer active. If that is a mistake, ask whoever manages accounts.": {
		"Laut Verzeichnis ist dieses Konto nicht mehr aktiv. Ist das ein Irrtum, fragen Sie, wer die Konten verwaltet.",
		"Selon l’annuaire, ce compte n’est plus actif. Si c’est une erreur, adressez-vous à qui gère les comptes.",
		"Según el directorio, esta cuenta ya no está activa. Si es un error, consulte a quien gestiona las cuentas.",
		"ディレクトリによると、このアカウントは無効です。誤りの場合はアカウント管理者に連絡してください。",
	},
	"The gateway can't read its own state at the moment, so it can't tell who you are. Try again shortly.": {
		"Das Gateway kann gerade nicht feststellen, wer Sie sind. Versuchen Sie es gleich noch einmal.", "La passerelle ne peut pas savoir qui vous êtes pour le moment. Réessayez bientôt.",
		"El gateway no puede saber quién es usted en este momento. Inténtelo de nuevo en breve.", "現在、あなたが誰かを確認できません。しばらくしてからもう一度お試しください。",
	},
	"The gateway can't write its audit journal (its disk may be full). Until it can, requests made as another person are refused. Your own account works as usual.": {
		"Das Gateway kann nichts aufzeichnen (vielleicht ist sein Speicher voll). So lange wird abgelehnt, was als jemand anderes getan werden soll. Ihr eigenes Konto funktioniert wie immer.",
		"La passerelle ne peut rien enregistrer (son disque est peut-être plein). En attendant, ce qui est fait en tant que quelqu’un d’autre est refusé. Votre compte fonctionne comme d’habitude.",
		"El gateway no puede registrar nada (quizá su disco esté lleno). Mientras tanto se rechaza lo que se haga como otra persona. Su propia cuenta funciona como siempre.",
		"ゲートウェイが記録を書き込めません(ディスクがいっぱいの可能性があります)。その間、他の人としての操作は拒否されます。自分のアカウントは通常どおり使えます。",
	},
	"The gateway could not do this. Your own account is not affected. Try again shortly; whoever runs the gateway finds the cause in its log.": {
		"Das war dem Gateway nicht möglich. Ihr eigenes Konto ist nicht betroffen. Versuchen Sie es gleich noch einmal; die Ursache steht im Log des Gateways.",
		"La passerelle n’a pas pu le faire. Votre propre compte n’est pas concerné. Réessayez bientôt ; la cause est dans le journal de la passerelle.",
		"El gateway no pudo hacerlo. Su propia cuenta no está afectada. Inténtelo de nuevo en breve; la causa está en el registro del gateway.",
		"ゲートウェイで処理できませんでした。自分のアカウントには影響ありません。しばらくしてからもう一度お試しください。原因はゲートウェイのログにあります。",
	},
	"The request's body is larger than 64 KiB.": {
		"Das Gesendete ist größer als 64 KiB.", "Ce qui a été envoyé dépasse 64 Kio.", "Lo enviado supera los 64 KiB.", "送信内容が64 KiBを超えています。",
	},
	"The use of the other account ended while this was being loaded.": {
		"Die Zeit im anderen Konto endete, während dies geladen wurde.", "L’utilisation de l’autre compte a pris fin pendant le chargement.",
		"El uso de la otra cuenta terminó mientras esto se cargaba.", "読み込み中に、他のアカウントの使用が終了しました。",
	},
	"There is no such page or object, or it is not yours to see.": {
		"Das gibt es nicht, oder es ist nicht für Sie bestimmt.", "Cela n’existe pas, ou n’est pas pour vous.", "No existe, o no le corresponde verlo.", "存在しないか、閲覧の権限がありません。",
	},
	"There is nothing at this address.": {
		"Unter dieser Adresse gibt es nichts.", "Il n’y a rien à cette adresse.", "No hay nada en esta dirección.", "このアドレスには何もありません。",
	},
	"This page can only be used in one's own account.": {
		"Diese Seite kann nur im eigenen Konto verwendet werden.", "Cette page ne peut être utilisée que dans son propre compte.",
		"Esta página solo puede usarse en la propia cuenta.", "このページは自分のアカウントでのみ使えます。",
	},
	"This request came from a page of another site and was refused.": {
		"Das kam von der Seite einer anderen Website und wurde abgelehnt.", "Cela venait d’une page d’un autre site et a été refusé.",
		"Esto vino de una página de otro sitio y se rechazó.", "別のサイトのページからの要求のため、拒否されました。",
	},
	"This version does not have that yet.": {
		"Das hat diese Version noch nicht.", "Cette version ne l’a pas encore.", "Esta versión aún no lo tiene.", "このバージョンではまだ利用できません。",
	},
	"This was sent by a page of another site, so nothing was done.": {
		"Das kam von der Seite einer anderen Website; es wurde nichts getan.", "Cela venait d’une page d’un autre site ; rien n’a été fait.",
		"Esto vino de una página de otro sitio; no se hizo nada.", "別のサイトのページから送信されたため、何も行われませんでした。",
	},
	"This was sent by a page of another site, so nothing was done. To return to your own account, press the button here.": {
		"Das kam von der Seite einer anderen Website; es wurde nichts getan. Um in Ihr eigenes Konto zurückzukehren, drücken Sie den Knopf hier.",
		"Cela venait d’une page d’un autre site ; rien n’a été fait. Pour revenir à votre compte, appuyez sur le bouton ici.",
		"Esto vino de una página de otro sitio; no se hizo nada. Para volver a su cuenta, pulse el botón de aquí.",
		"別のサイトのページから送信されたため、何も行われませんでした。自分のアカウントに戻るには、ここのボタンを押してください。",
	},
	"While you use someone else's account, every page must say so. This one can't be marked, so it is not shown.": {
		"Solange Sie ein fremdes Konto verwenden, muss jede Seite das zeigen. Diese kann es nicht, also wird sie nicht angezeigt.",
		"Tant que vous utilisez le compte de quelqu’un d’autre, chaque page doit le dire. Celle-ci ne le peut pas, elle n’est donc pas affichée.",
		"Mientras usa la cuenta de otra persona, cada página debe indicarlo. Esta no puede, así que no se muestra.",
		"他の人のアカウントを使用中は、すべてのページにその旨を表示する必要があります。このページには表示できないため、開けません。",
	},
	"You are being sent to the identity provider.": {
		"Sie werden zum Anmeldedienst weitergeleitet.", "Vous êtes dirigé vers le fournisseur d’identité.", "Se le dirige al proveedor de identidad.", "認証サービスに移動します。",
	},
	"You are not logged in here, or your session has ended.": {
		"Sie sind hier nicht angemeldet, oder Ihre Sitzung ist zu Ende.", "Vous n’êtes pas connecté ici, ou votre session est terminée.",
		"No ha iniciado sesión aquí, o su sesión ha terminado.", "ログインしていないか、セッションが終了しました。",
	},
	"You are using this account in read-only mode, so nothing was changed.": {
		"Sie verwenden dieses Konto nur lesend; es wurde nichts geändert.", "Vous utilisez ce compte en lecture seule ; rien n’a été changé.",
		"Está usando esta cuenta en modo de solo lectura; no se cambió nada.", "このアカウントは閲覧のみで使用しているため、何も変更されませんでした。",
	},
	"Logging in needs the identity provider, and it does not answer. It is retried automatically; people who are logged in already can go on.": {
		"Zum Anmelden wird der Anmeldedienst gebraucht, und er antwortet nicht. Es wird von selbst erneut versucht; wer angemeldet ist, kann weiterarbeiten.",
		"La connexion a besoin du fournisseur d’identité, qui ne répond pas. Les personnes déjà connectées peuvent continuer.",
		"Para iniciar sesión hace falta el proveedor de identidad, y no responde. Quienes ya han iniciado sesión pueden seguir.",
		"ログインには認証サービスが必要ですが、応答がありません。自動的に再試行されます。ログイン済みの人はそのまま使えます。",
	},
	"This browser did not begin this login, or began it too long ago. Nothing has happened; please log in again.": {
		"Diese Anmeldung wurde nicht in diesem Browser begonnen, oder vor zu langer Zeit. Es ist nichts geschehen; bitte melden Sie sich erneut an.",
		"Cette connexion n’a pas été commencée dans ce navigateur, ou il y a trop longtemps. Rien ne s’est passé ; reconnectez-vous.",
		"Este inicio de sesión no empezó en este navegador, o hace demasiado tiempo. No ha pasado nada; inicie sesión de nuevo.",
		"このブラウザーで始めたログインではないか、時間が経ちすぎています。もう一度ログインしてください。",
	},
	"This login took longer than ten minutes. Please log in again.": {
		"Diese Anmeldung hat länger als zehn Minuten gedauert. Bitte melden Sie sich erneut an.", "Cette connexion a duré plus de dix minutes. Reconnectez-vous.",
		"Este inicio de sesión tardó más de diez minutos. Inicie sesión de nuevo.", "ログインに10分以上かかりました。もう一度ログインしてください。",
	},
	"This login was completed before. Please log in again.": {
		"Diese Anmeldung wurde schon abgeschlossen. Bitte melden Sie sich erneut an.", "Cette connexion a déjà été utilisée. Reconnectez-vous.",
		"Este inicio de sesión ya se completó. Inicie sesión de nuevo.", "このログインはすでに完了しています。もう一度ログインしてください。",
	},
	"You are logged out here. The identity provider can't be reached: you may still be logged in there.": {
		"Hier sind Sie abgemeldet. Der Anmeldedienst ist nicht erreichbar: Dort sind Sie vielleicht noch angemeldet.", "Vous êtes déconnecté ici. Le fournisseur d’identité est injoignable : vous y êtes peut-être encore connecté.",
		"Ha cerrado la sesión aquí. No se puede contactar con el proveedor de identidad: quizá siga abierta allí.", "ここからはログアウトしました。認証サービスに接続できないため、そちらではまだログイン中の可能性があります。",
	},
	"You are logged out here. You may still be logged in at the identity provider.": {
		"Hier sind Sie abgemeldet. Beim Anmeldedienst sind Sie vielleicht noch angemeldet.", "Vous êtes déconnecté ici. Vous êtes peut-être encore connecté auprès du fournisseur d’identité.",
		"Ha cerrado la sesión aquí. Quizá siga abierta en el proveedor de identidad.", "ここからはログアウトしました。認証サービスではまだログイン中の可能性があります。",
	},
}
